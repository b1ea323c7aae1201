"""What a run writes into its ledger: on a thread of its own, for which the run waits only at its end, and not for long.

The ledger is never on a run's way. What could not be written stands in the reports beside the tables, from which
`oreflow runs rebuild` brings it in.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping, Sequence
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from oreflow.contract import OreflowError
from oreflow.contract.errors import told
from oreflow.secrets import redacted, without
from oreflow_ledger.section import Place

if TYPE_CHECKING:
    from oreflow_ledger.database import Ledger
    from oreflow_ledger.rows import Row

_COMPLETE = "`oreflow runs rebuild` completes it"
_Work = tuple[str, Mapping[str, Any]]


class Writer:
    """Writes one run, each step in a transaction. After the first one that fails, nothing is tried any more.

    `begun` is what is known of the run by now, in the form of a report; `lake` is where its tables are. `completed` are
    the reports of runs whose processes have gone, to be written first.
    """

    def __init__(
        self, place: Place, begun: Mapping[str, Any], lake: str, completed: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self._place, self._begun, self._lake, self._completed = place, begun, lake, copy.deepcopy(completed)
        self._queue: SimpleQueue[_Work] = SimpleQueue()
        self._fault = ""
        self._is_left_behind = False
        # A daemon: what hangs keeps no process alive.
        self._thread = threading.Thread(target=self._work, name="oreflow-ledger", daemon=True)
        self._thread.start()

    def step(self, result: Mapping[str, Any]) -> None:
        """Have a step written."""
        self._queue.put(("step", copy.deepcopy(result)))  # other plugins may do with theirs as they like

    def end(self, report: Mapping[str, Any]) -> None:
        """Have the end of the run written, and wait for all that is not yet written.

        Raises:
            OreflowError: something has not been written, and why.
        """
        self._queue.put(("end", copy.deepcopy(report)))
        self._thread.join(self._place.timeout)
        if self._thread.is_alive():
            self._is_left_behind = True
            self._fault = f"it does not answer in {self._place.timeout:g} s - {_COMPLETE}"
        if self._fault:
            raise OreflowError(f"the ledger {self._place.shown} lacks some of this run: {self._fault}")

    def _work(self) -> None:
        try:
            # They are loaded here, while the run goes on, as loading them takes longer than all that they do then.
            from oreflow_ledger.database import Ledger
            from oreflow_ledger.rows import run_row

            with Ledger(self._place) as ledger:
                run = run_row(self._begun, self._lake)
                ledger.begin(run)
                for report in self._completed:
                    ledger.keep(run_row(report, self._lake), report)
                while not self._write(ledger, run, *self._queue.get()):
                    pass
        except BaseException as error:
            text = str(error) if isinstance(error, OreflowError) else told(error)
            mend = "" if getattr(error, "says_mend", False) else f" - {_COMPLETE}"
            self._fault = redacted(without(text, self._place.secrets)) + mend

    def _write(self, ledger: Ledger, run: Row, what: str, said: Mapping[str, Any]) -> bool:
        """Write one thing; gives whether it was the last."""
        from oreflow_ledger.rows import run_row

        if self._is_left_behind:
            return True
        if what == "step":
            ledger.step(run, said)
            return False
        ledger.end(run_row(said, self._lake), said)
        ledger.expire(said["pipeline"], self._lake)
        return True
