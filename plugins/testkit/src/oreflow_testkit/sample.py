"""Raw rows: those that a processor is judged with where its author shows none, and how rows become a csv file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from oreflow_testkit.errors import ContractBroken

Row = Mapping[str, str | None]

DEFAULT_ROWS: tuple[Row, ...] = (
    {"id": "1", "name": "Ada", "amount": "12.50", "day": "2026-03-01", "note": "first"},
    {"id": "2", "name": "Grace", "amount": "7.25", "day": "2026-03-01", "note": None},
    {"id": "3", "name": "Alan", "amount": "0.00", "day": "2026-03-02", "note": "a, b"},
    {"id": "4", "name": "Edsger", "amount": "-3.75", "day": "2026-03-02", "note": ""},
    {"id": "5", "name": "Barbara", "amount": "120.00", "day": "2026-03-03", "note": "last"},
)
"""What a processor is judged with where its metadata shows no `example` and its test no `rows`."""


def columns_of(rows: Sequence[Row]) -> list[str]:
    """The columns of rows, in the order in which they come.

    Raises:
        ContractBroken: they are no raw rows; says which of them, and why.
    """
    _expect_raw(rows)
    return list(dict.fromkeys(name for row in rows for name in row))


def csv_text(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """The rows as csv; None is an empty field without quotes, which is read as NULL.

    Raises:
        ContractBroken: they are no raw rows; says which of them, and why.
    """
    _expect_raw(rows)
    lines = [",".join(_field(name) for name in columns)]
    lines += [",".join(_field(row.get(name)) for name in columns) for row in rows]
    return "\n".join(lines) + "\n"


def _expect_raw(rows: Sequence[object]) -> None:
    """Find that rows are what a file may hold: whoever wrote them down may have thought of typed ones."""
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise ContractBroken(
                f'row {number} of the rows to judge with is {row!r} - write a row as {{"column": "text"}}'
            )
        for name, value in row.items():
            if not isinstance(name, str):
                raise ContractBroken(
                    f"row {number} of the rows to judge with has a column called {name!r} - a name is a text"
                )
            if value is not None and not isinstance(value, str):
                raise ContractBroken(
                    f"row {number} of the rows to judge with has {value!r} as its {name} - raw rows are what a file"
                    " holds: write it as a text, or None for NULL"
                )


def _field(value: str | None) -> str:
    return "" if value is None else '"' + value.replace('"', '""') + '"'
