"""The kit as a pytest class: a plugin's whole test is a subclass that names its processor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from oreflow.contract import OreflowError
from oreflow_testkit.checks import CHECKS, ConformanceCheck
from oreflow_testkit.errors import ContractBroken, NotApplicable
from oreflow_testkit.judgement import Place, misnamed, places, subject_of
from oreflow_testkit.sample import Row


class ProcessorConformance:
    """Makes every check of the kit, on every installed engine that the processor claims.

    `plugin` is the processor's name, as in its metadata. `options` and `rows` are those of the metadata's example,
    else none and `DEFAULT_ROWS`. `order_matters` says why the table depends on the order in which rows arrive,
    where it does. `not_applicable` leaves checks out, each with the reason; it is shown as a skip. `project` is the
    folder of the project whose own file, `oreflow_plugins.py`, brings the processor, where it is not installed.
    """

    __test__ = False  # the base itself is no test

    plugin: ClassVar[str] = ""
    options: ClassVar[Mapping[str, Any] | None] = None
    rows: ClassVar[Sequence[Row] | None] = None
    order_matters: ClassVar[str] = ""
    not_applicable: ClassVar[Mapping[str, str]] = {}
    project: ClassVar[str | Path | None] = None

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "__test__" not in vars(cls):
            cls.__test__ = True
        if wrong := misnamed(cls.not_applicable):
            raise TypeError(f"{cls.__name__}: {wrong}")

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make each check once for each place where the processor can be judged."""
        if "place" not in metafunc.fixturenames:
            return
        try:
            found: Sequence[Place | str] = places(self.plugin, self.project)
        except OreflowError as error:
            found = [str(error)]  # told by the tests, so that each of them is seen to fail
        labels = [place.label if isinstance(place, Place) else "not installed" for place in found]
        metafunc.parametrize("place", found, ids=labels)


def _method(check: ConformanceCheck) -> Callable[[ProcessorConformance, Place | str, Path], None]:
    def test(self: ProcessorConformance, place: Place | str, tmp_path: Path) -> None:
        __tracebackhide__ = True
        if isinstance(place, str):
            raise ContractBroken(place)
        if reason := self.not_applicable.get(check.name):
            pytest.skip(reason)
        subject = subject_of(self.plugin, place, tmp_path, self.options, self.rows, self.order_matters, self.project)
        try:
            check.run(subject)
        except NotApplicable as reason:
            pytest.skip(str(reason))

    test.__name__ = f"test_{check.name}"
    test.__qualname__ = f"ProcessorConformance.{test.__name__}"
    test.__doc__ = check.proves
    return test


for _check in CHECKS:
    setattr(ProcessorConformance, f"test_{_check.name}", _method(_check))
