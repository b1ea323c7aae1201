"""The step itself: lazy frames in, an Output out."""

from collections.abc import Mapping
from typing import Any

import narwhals as nw
from oreflow.contract import Output, Processor, Rule, Step, StepError

from oreflow_postcodes.plugin import AREA, METADATA

# Regular expressions that mean the same on every engine: blanks are listed, since `\s` does not.
_BLANKS = "[ \t\u00a0]+"
_POSTCODE = "^[A-Z]{1,2}[0-9][0-9A-Z]? [0-9][A-Z]{2}$"
_INWARD = ".{3}$"
_FROM_FIRST_DIGIT = "[0-9].*$"


class PostcodesProcessor(Processor):
    """Publishes every row with its postcode as the Royal Mail writes it, and the letters that it begins with."""

    metadata = METADATA

    def process(self, inputs: Mapping[str, nw.LazyFrame[Any]], step: Step) -> Output:
        """Say what becomes of the rows; nothing is computed here."""
        ((table, rows),) = inputs.items()
        column = step.options["postcode"]
        schema = rows.collect_schema()
        there = [name for name in schema.names() if not name.startswith("_")]
        if column not in there:
            raise StepError(f"its input {table} has no column '{column}' - it has {', '.join(there)}")
        if schema[column] != nw.String:
            raise StepError(f"the column '{column}' of its input {table} is not text - let it be a string there")
        if taken := [other for other in there if other.lower() == AREA]:
            raise StepError(f"its input {table} has a column '{taken[0]}' already - rename it there")

        given, spelled = nw.col(column), _spelled(nw.col(column))
        # What is malformed stays as it came, so that the quarantine shows what was delivered.
        rows = rows.with_columns(nw.when(_is_postcode(spelled)).then(spelled).otherwise(given).alias(column))
        rows = rows.with_columns(nw.col(column).str.replace_all(_FROM_FIRST_DIGIT, "").alias(AREA))
        no_postcode = nw.concat_str(nw.lit(f"{column}: '"), nw.col(column), nw.lit("' is no UK postcode"))
        malformed = Rule(
            name=f"{column} is a postcode",
            broken=~_is_postcode(nw.col(column)),  # of NULL it is NULL, which counts as broken
            reason=nw.when(nw.col(column).is_null()).then(nw.lit(f"{column} is NULL")).otherwise(no_postcode),
        )
        # The quarantine keeps what came in; an area of no postcode would mean nothing.
        return Output(rows, columns=[*there, AREA], rules=[malformed], raw={name: name for name in there})


def _spelled(text: nw.Expr) -> nw.Expr:
    """In upper case, with one blank before the last three characters and no other."""
    solid = text.str.replace_all(_BLANKS, "").str.to_uppercase()
    return nw.concat_str(solid.str.replace_all(_INWARD, ""), nw.lit(" "), solid.str.tail(3))


def _is_postcode(text: nw.Expr) -> nw.Expr:
    return text.str.contains(_POSTCODE)
