"""oreflow's SQL: one small dialect that means the same on every engine.

A text is parsed once, judged against what all engines can do, given the type of every part, and written down anew for
an engine, with casts wherever engines would differ. What cannot be so is refused here, before anything runs, in the
same words on every engine. The rules are in docs/reference/semantics.md, in the section SQL.

Importing this costs what importing sqlglot costs, about 0.1 s; an engine imports it when it meets SQL.
"""

from __future__ import annotations

from oreflow.semantics.sql.api import Expression, Query, columns, measure, query, scalar
from oreflow.semantics.sql.functions import FUNCTIONS

__all__ = ["FUNCTIONS", "Expression", "Query", "columns", "measure", "query", "scalar"]
