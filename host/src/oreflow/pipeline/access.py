"""Every call that a run makes to a resource goes through here: by the policy of the resource, and written down.

What a call has come to is in `Access.uses`, and told as it happens. Breakers are those of the process: they outlive a
run, so that a source that was down is left alone by the next one too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from uuid import uuid4

from oreflow.contract import (
    Commit,
    CommitConflict,
    DeclarationError,
    Problem,
    StepError,
    StoreError,
    Table,
    TableFormat,
)
from oreflow.contract.errors import told
from oreflow.factory import ProcessorFactory
from oreflow.pipeline.lake import read_json, write_json
from oreflow.pipeline.model import Pipeline
from oreflow.pipeline.report import RefusedError
from oreflow.pipeline.resources import LAKE, SHARE, Resource
from oreflow.resilience import Event, EventKind, Policy, Resilience, get_resilience
from oreflow.secrets import followed_address, redacted

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class ResourceUse:
    """What became of the calls to a resource: how many `attempts`, how many of them `retries` of one that had failed.

    `waited_seconds` is what was waited between them and for the rate limit, `gave_up` how many calls failed for good,
    `rejected` how many were not made; `breaker` is its state at the end ('' where there is none), `opened` how often it
    opened in this process.
    """

    resource: str
    kind: str
    attempts: int = 0
    retries: int = 0
    waited_seconds: float = 0.0
    gave_up: int = 0
    rejected: int = 0
    breaker: str = ""
    opened: int = 0
    last_error: str = ""


class Access:
    """The calls to the resources of a pipeline. `on_event` is told of each decision, on the thread that it is made on.

    Once `stop` is set, no next attempt is waited for. Where plugins implement `call_resource`, each attempt is made
    inside of it. With a run, what others have told of
    breakers by the pipeline's board is taken over first.

    Raises:
        DeclarationError: no plugin knows a board of this kind, or its address is none.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        factory: ProcessorFactory,
        run_id: str = "",
        on_event: Callable[[Event], None] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._resources = pipeline.resources
        policies = {name: _untimed(resource) for name, resource in pipeline.resources.items()}
        classifier = factory.classifier
        self.classify = classifier.classify
        shared = get_resilience().part((pipeline.lake, pipeline.name), policies, classifier=classifier, on_event=_hear)
        own = {name: shared.executor(name) for name in policies}
        self._executors = {name: each.until(stop) for name, each in own.items()} if stop else own
        if run_id:
            _share(shared, pipeline, factory)
        self._hook = factory.hooks.hook.call_resource
        self.run_id, self._on_event = run_id, on_event
        self._uses = {name: ResourceUse(name, each.kind) for name, each in pipeline.resources.items()}
        self.was_retried = False
        """Whether a call was made again since `forget`."""
        self._given_up: tuple[BaseException, str] | None = None
        self.tables: TableFormat = _Tables(self, factory.create_table_format())

    def call(self, resource: str, operation: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function by the policy of a resource; it may be called several times.

        Raises:
            RejectedError: it was not called.
            Exception: what it has raised at last.
        """
        with self._heard():
            return self._executors[resource].execute(self._attempt, resource, operation, function, *args, **kwargs)

    def timed(self, resource: str, function: Callable[[], T]) -> T:
        """A part of a call that its resource's timeout may cut, since nobody sees what it does.

        Raises:
            AttemptTimeoutError: it took too long. It goes on in its thread, and its result is dropped.
        """
        timeout = self._resources[resource].policy.timeout
        if timeout is None:
            return function()
        from oreflow.resilience.threads import beside

        result: T = beside(resource, function, timeout=timeout, hedge=None, ended=lambda: None)
        return result

    def within(
        self, resource: str, operation: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """A part of a call that is under way: inside the wrappers of plugins, and nothing else.

        It is no attempt of its own. What it raises is the error of the attempt that it is a part of.
        """
        if not (self.run_id and len(self._hook.get_hookimpls()) > 1):  # the host's own is one
            return function(*args, **kwargs)
        result: T = self._hook(
            run_id=self.run_id, resource=resource, operation=operation, call=lambda: function(*args, **kwargs)
        )
        return result

    def read(self, path: Path) -> dict[str, Any] | None:
        """The value of a JSON file of the lake; None where there is none."""
        return self.call(LAKE, "read", read_json, path)

    def write(self, path: Path, value: Mapping[str, Any]) -> None:
        """Write a JSON file of the lake."""
        self.call(LAKE, "write", write_json, path, value)

    @property
    def uses(self) -> list[ResourceUse]:
        """What became of the calls so far, of the resources that were called."""
        found = []
        for name, use in self._uses.items():
            if use.attempts or use.rejected:
                breaker = self._executors[name].breaker
                if breaker:
                    use.breaker, use.opened = breaker.state.value, breaker.figures.opened
                use.waited_seconds = round(use.waited_seconds, 3)
                found.append(use)
        return found

    def _attempt(self, resource: str, operation: str, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        self._uses[resource].attempts += 1
        if resource == LAKE and operation in _READS:
            return self.timed(LAKE, lambda: self.within(resource, operation, function, *args, **kwargs))
        return self.within(resource, operation, function, *args, **kwargs)

    @contextmanager
    def _heard(self) -> Iterator[None]:
        """Within it, what happens is told to this access; a breaker is of several."""
        token = _hearing.set(self)
        try:
            yield
        finally:
            _hearing.reset(token)

    def blamed(self, error: BaseException | None) -> str:
        """The resource whose calls have failed with an error, or with one that it comes of; '' where none is known."""
        for _ in range(_DEEPEST):
            if error is None or self._given_up is None:
                break
            if error is self._given_up[0]:
                return self._given_up[1]
            error = error.__cause__
        return ""

    def forget(self) -> None:
        """Forget with which error a call has failed, and that any was made again."""
        self._given_up, self.was_retried = None, False

    def hear(self, event: Event) -> None:
        """Take down what has happened."""
        if isinstance(event.error, RefusedError):  # the call went well: what it found was not good enough
            return
        use = self._uses[event.resource]
        if event.kind is EventKind.GAVE_UP and event.error is not None and not self.blamed(event.error):
            self._given_up = event.error, event.resource  # the innermost call, around which others give up as well
        if event.kind is EventKind.RETRY:
            self.was_retried = True
            use.retries += 1
            use.waited_seconds += event.seconds
        elif event.kind is EventKind.DELAYED:
            use.waited_seconds += event.seconds
        elif event.kind is EventKind.GAVE_UP:
            use.gave_up += 1
        elif event.kind is EventKind.REJECTED:
            use.rejected += 1
        if event.error is not None and event.kind is not EventKind.REJECTED:
            use.last_error = redacted(told(event.error))  # an error may have what its maker was told
        if self._on_event:
            self._on_event(event)


_DEEPEST = 32
_READS = ("account", "load", "read")
"""The calls to the lake that may be cut. One that writes may not: what it does in its thread could come too late, and
publish files that a later attempt has swept away."""


def _untimed(resource: Resource) -> Policy:
    """What an executor goes by: of the timeouts only that of a source, of which every call may be cut."""
    return resource.policy if resource.kind == "source" else replace(resource.policy, timeout=None)


def _share(resilience: Resilience, pipeline: Pipeline, factory: ProcessorFactory) -> None:
    """Share the breakers of a part by the board that the declaration names.

    Its pipeline and its environment are what machines agree on: a lake may be mounted elsewhere on each.

    Raises:
        DeclarationError: no plugin knows a board of this kind, or its address is none.
    """
    if not pipeline.share:
        resilience.share(None)
        return
    kind, scope = pipeline.share.partition(":")[0], f"{pipeline.name}@{pipeline.config.environment}"
    try:
        address = followed_address(pipeline.share)
        resilience.share(lambda: factory.create_breaker_board(kind, address), address, scope=scope)
    except DeclarationError as error:
        problems = [replace(each, path=SHARE) for each in error.problems]
    except StoreError as error:  # asked for nothing yet, it can have only something against the address
        problems = [Problem(str(error), SHARE)]
    else:
        return
    raise DeclarationError([pipeline.config.document.locate(each) for each in problems])


_hearing: ContextVar[Access | None] = ContextVar("hearing", default=None)


def _hear(event: Event) -> None:
    if access := _hearing.get():
        access.hear(event)


class _Tables(TableFormat):
    """A table format whose operations are calls to the lake."""

    def __init__(self, access: Access, tables: TableFormat) -> None:
        self.metadata = tables.metadata
        self._access, self._tables = access, tables

    def load(self, path: Path) -> Table | None:
        """See `TableFormat.load`."""
        return self._access.call(LAKE, "load", self._tables.load, path)

    def account(self, path: Path, batch: int) -> Mapping[str, Any]:
        """See `TableFormat.account`."""
        return self._access.call(LAKE, "account", self._tables.account, path, batch)

    def commit(self, path: Path, commit: Commit) -> None:
        """See `TableFormat.commit`. It is made again only where it is not in the table: the answer may be lost."""
        mark = {_MARK: uuid4().hex}
        marked = replace(commit, account={**commit.account, **mark})
        tried = done = False
        conflict: CommitConflict | None = None

        def attempt() -> None:
            nonlocal tried, done
            if not (tried and self._is_in(path, marked)):
                tried = True
                self._tables.commit(path, marked)
            done = True

        try:
            self._access.call(LAKE, "commit", attempt)
        except CommitConflict as error:
            conflict = CommitConflict(*error.args)
        if conflict:  # without what was tried before it: the step is to be made again, on the table as it has become
            raise conflict
        if not done:
            raise StepError(f"{path} was not committed to: a plugin around the call has not let it through")

    def _is_in(self, path: Path, commit: Commit) -> bool:
        table = self._tables.load(path)
        found = table is not None and table.batch == commit.batch
        return found and self._tables.account(path, commit.batch).get(_MARK) == commit.account[_MARK]


_MARK = "commit"
"""The key by which a commit has a name of its own in the table's log."""
