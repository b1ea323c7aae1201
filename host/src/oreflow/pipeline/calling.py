"""Calling what a plugin wrote, so that whatever it does there is one failed step with the plugin's name on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import narwhals as nw

from oreflow.contract import Append, Merge, OreflowError, Output, Overwrite, Processor, Rule, Step
from oreflow.contract.errors import told
from oreflow.factory import Offer, ProcessorFactory
from oreflow.pipeline.faults import PluginFault

_Result = TypeVar("_Result")


def process(processor: Processor, offer: Offer, inputs: Mapping[str, nw.LazyFrame[Any]], step: Step) -> Output:
    """What a processor makes of its inputs.

    Raises:
        StepError: it cannot, or it breaks the contract.
    """
    who = f"the processor {offer.name} of {offer.origin}"
    try:
        output = processor.process(MappingProxyType(dict(inputs)), step)
    except (KeyboardInterrupt, OreflowError):
        raise
    except BaseException as error:
        raise PluginFault(f"{who} failed: {told(error)} - tell its author; nothing was published") from error
    if wrong := _against_contract(output):
        raise PluginFault(f"{who} {wrong} - tell its author; nothing was published")
    return output


def _against_contract(output: Any) -> str:
    """What is wrong with a processor's answer; '' where nothing is."""
    if not isinstance(output, Output):
        return f"returned {_kind(output)} where an Output is expected"
    for field, expected, holds in _EXPECTED:
        value = getattr(output, field)
        try:
            right = holds(value)
        except (TypeError, ValueError):  # nothing that can be gone through, or no pair
            right = False
        if not right:
            return f"returned an Output with {_kind(value)} as its {field} where {expected} is expected"
    return ""


def _is_pair(pair: Any) -> bool:
    before, after = pair
    return isinstance(before, nw.LazyFrame) and isinstance(after, nw.LazyFrame)


_EXPECTED: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
    ("rows", "a narwhals LazyFrame", lambda rows: isinstance(rows, nw.LazyFrame)),
    ("columns", "a list of names", lambda names: not isinstance(names, str) and all(isinstance(n, str) for n in names)),
    ("rules", "a list of Rule", lambda rules: all(isinstance(rule, Rule) for rule in rules)),
    ("raw", "a mapping of names", lambda raw: isinstance(raw, Mapping)),
    ("superseded", "a list of pairs of LazyFrames", lambda pairs: all(_is_pair(pair) for pair in pairs)),
    ("mode", "Append(), Overwrite() or Merge(keys)", lambda mode: isinstance(mode, (Append, Overwrite, Merge))),
)


def _kind(value: object) -> str:
    """A value as its author may recognise it: a short text, or its type."""
    if value is None or isinstance(value, (str, int, float, list, tuple)):
        return repr(value)[:60]
    return f"a {type(value).__module__}.{type(value).__qualname__}"


def around(factory: ProcessorFactory, step: Step, work: Callable[[], _Result], kind: type[_Result]) -> _Result:
    """The result of `work`, done inside the `run_step` hook of every plugin.

    Raises:
        PluginFault: a plugin failed around the work, or did not give its result back.
    """
    raised: list[BaseException] = []

    def call() -> _Result:
        try:
            return work()
        except BaseException as error:
            raised.append(error)
            raise

    wrappers: list[Any] = [i for i in factory.hooks.hook.run_step.get_hookimpls() if i.plugin_name != "oreflow"]
    try:
        result = factory.hooks.hook.run_step(step=step, call=call)
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, OreflowError)) or error in raised:
            raise
        guilty = _guilty(error, wrappers)
        who = f"{factory.plugin(guilty)}" if guilty else "a plugin"
        raise PluginFault(f"{who} failed around the step, in run_step: {told(error)}; nothing was published") from error
    if not isinstance(result, kind):
        names = ", ".join(str(factory.plugin(i.plugin_name)) for i in wrappers)
        raise PluginFault(f"run_step gave {_kind(result)} back instead of what was done; implemented by {names}")
    return result


def _guilty(error: BaseException, implementations: Sequence[Any]) -> str:
    """The key of the plugin in whose code the error was raised last; '' where that cannot be told."""
    codes = {implementation.function.__code__: implementation.plugin_name for implementation in implementations}
    guilty, place = "", error.__traceback__
    while place is not None:
        guilty = codes.get(place.tb_frame.f_code, guilty)
        place = place.tb_next
    return guilty
