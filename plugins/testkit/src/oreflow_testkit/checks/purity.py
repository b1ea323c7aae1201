"""Is the step a pure one? These checks call `process()` alone, as the host calls it within a step."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from typing import Any

from oreflow.contract import Output, ProcessingEngine, Processor, ProcessorCapability
from oreflow_testkit.apart import apart
from oreflow_testkit.errors import ContractBroken, NotApplicable, in_one_line
from oreflow_testkit.outcome import carry_out, unlike
from oreflow_testkit.subject import Subject
from oreflow_testkit.trap import holds, unreadable
from oreflow_testkit.watch import Watch


def purity(subject: Subject) -> None:
    """Called twice, `process()` gives the same, changes nothing it is given, touches no file, socket or subprocess."""
    apart(expect_pure, subject)


def expect_pure(subject: Subject) -> None:
    """Call it, and see: nothing that it read was read before."""
    engine, watch = subject.engine, Watch(subject.engine)
    inputs, options = subject.inputs("purity"), subject.full_options
    given, schemas = dict(inputs), {name: frame.collect_schema() for name, frame in inputs.items()}
    step = subject.step(options)
    # From its creation on, so that nothing it keeps hides where it came from.
    processor = watch.of(subject.create)

    def called() -> Output:
        output = watch.of(lambda: subject.process(processor, inputs, step))
        if list(inputs) != list(given) or any(inputs[name] is not frame for name, frame in given.items()):
            raise ContractBroken("process() changed the mapping of its inputs - make a new one, leave the one given")
        for name, frame in given.items():
            if frame.collect_schema() != schemas[name]:
                raise ContractBroken(f"process() changed its input {name} - make a new frame, leave the one given")
        for what, now in (("step.options", options), ("config.options", processor.config.options)):
            if dict(now) != subject.full_options:
                before, after = (_shown(each) for each in (subject.full_options, now))
                raise ContractBroken(f"process() changed {what}: {before} became {after} - copy before you change")
        return output

    first, second = called(), called()
    _expect_nothing(watch)
    # What it gave the engine to call for values and columns is called only when the plan is carried out.
    one, other = watch.of(lambda: (carry_out(first, engine), carry_out(second, engine)))
    _expect_nothing(watch)
    if how := unlike(one, other, "in the first call", "in the second"):
        raise ContractBroken(
            f"process() gives something else when it is called twice with the same: {how} - keep nothing"
            " from call to call, and take the time from step.started_at, not from a clock"
        )


def _expect_nothing(watch: Watch) -> None:
    if watch.found:
        raise ContractBroken(
            f"process() touches the world outside: {'; '.join(watch.found)} - a step is pure: what it needs has to be"
            " one of its inputs or options, and the host does all else"
        )


def _shown(options: Mapping[str, Any]) -> str:
    return json.dumps(dict(options), default=lambda value: in_one_line(str(value)), ensure_ascii=False)


def laziness(subject: Subject) -> None:
    """While `process()` builds its plan, no row is read.

    It is handed a scan of a Parquet file whose pages were destroyed and whose footer was not: columns
    and types can be had, and whoever collects fails.
    """
    processor, engine = subject.create(), subject.engine
    inputs = subject.inputs("laziness")
    subject.process(processor, inputs, subject.step())
    subject.process(processor, inputs, subject.step(history=inputs.get))
    folder = subject.folder / "laziness" / "unreadable"
    trapped = {name: unreadable(frame, engine, folder / str(i)) for i, (name, frame) in enumerate(inputs.items())}
    for frame in trapped.values():
        if not holds(frame, engine):
            raise ContractBroken(
                f"the engine {subject.engine_name} reads destroyed files without an error, so that nothing can"
                " be said here - tell the authors of oreflow-testkit"
            )
    mend = "build a plan only, with lazy expressions; whether rows break a rule, and how many, is for the host to find"
    try:
        output = subject.process(processor, trapped, subject.step(history=trapped.get))
    except AssertionError as error:
        raise ContractBroken(f"process() reads rows while it builds its plan: {error} - {mend}") from error
    try:
        output.rows.collect_schema()
    except Exception as error:
        raise ContractBroken(
            f"the columns of its Output cannot be known without reading rows: {error} - {mend}"
        ) from error


def pickling(subject: Subject) -> None:
    """A copy of the processor that went through pickle works as it does, so that it can be sent to other machines."""
    distributed = ProcessorCapability.DISTRIBUTED in {
        capability for offer in subject.offers for capability in offer.capabilities
    }
    if subject.metadata.engine != ProcessingEngine.ANY.value and not distributed:
        raise NotApplicable(f"it is for the engine {subject.engine_name} alone, which is not distributed")
    processor, engine = subject.create(), subject.engine
    mend = "keep plain values in the instance, and make what cannot be pickled within process()"
    try:
        twin = pickle.loads(pickle.dumps(processor))  # noqa: S301  what this line itself has pickled
    except Exception as error:
        raise ContractBroken(f"it cannot be pickled: {type(error).__name__}: {error} - {mend}") from error
    if not isinstance(twin, Processor):
        raise ContractBroken(f"pickle makes {type(twin).__qualname__} of it, which is no Processor - {mend}")
    inputs = subject.inputs("pickling")
    one = carry_out(subject.process(processor, inputs, subject.step()), engine)
    try:
        other = carry_out(subject.process(twin, inputs, subject.step()), engine)
    except AssertionError as error:
        raise ContractBroken(f"after it was pickled it no longer works: {error} - {mend}") from error
    if how := unlike(one, other, "before it was pickled", "after"):
        raise ContractBroken(f"after it was pickled it gives something else: {how} - {mend}")
