"""What a text means as a type: the same on every engine, NULL where it is not one, never an error, never rounded."""

from __future__ import annotations

import math
import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oreflow.contract import DIRECTIVES, DataType, SourceFile, StepError

D = Decimal
STAMP = datetime(2021, 2, 3, 10, 11, 12)  # noqa: DTZ001  a wall clock reading

INTEGERS = {
    "0": 0, "5": 5, "-5": -5, "+5": 5, "007": 7, " 5": 5, "5\t ": 5, "17850.0": 17850, "17850.": 17850, "-1.000": -1,
    " +5.0 ": 5, "17850.5": None, "1.0.0": None, ".0": None, "-.0": None, ".": None, "1e3": None, "0x1F": None,
    "1_000": None, "1,000": None, "1 000": None, "--5": None, "+-5": None, "+": None, "": None, "  ": None,
    "٣": None, "\u00a05": None, "\n5": None, "five": None, "NaN": None, "99999999999999999999": None,
}  # fmt: skip

DECIMALS = {
    "1": D("1.00"), "1.5": D("1.50"), "+1.5": D("1.50"), "-.5": D("-0.50"), ".50": D("0.50"), " 1.25\t": D("1.25"),
    "1.25000": D("1.25"), "-0.00": D("0.00"), "007.1": D("7.10"), "99999999.99": D("99999999.99"),
    "-99999999.99": D("-99999999.99"), "99999999.990": D("99999999.99"), "100000000": None, "99999999.995": None,
    "1.234": None, "1.235": None, "0.001": None, "1e3": None, "1E-2": None, "1.": None, ".": None, "": None, " ": None,
    "+": None, "1_0": None, "1,5": None, "1.2.3": None, "٣.5": None, "NaN": None, "inf": None, "0x1": None,
    "0.00000000000000000000000000000000000000000000000": D("0.00"),
    "00000000000000000000000000000000000000000000000001.5": D("1.50"),
}  # fmt: skip

FLOATS = {
    "1.5": 1.5, "1": 1.0, "-1.5e3": -1500.0, "1E+5": 1e5, "+.5": 0.5, "5.": 5.0, " 1.5 ": 1.5, "1e-999": 0.0,
    "inf": math.inf, "-Infinity": -math.inf, "+INF": math.inf, "0.1": 0.1, "1e308": 1e308, "1e999": None,
    "-1e999": None, "1_0": None, "0x10": None, "1,5": None, "": None, ".": None, "e5": None, "1e": None, "٣": None,
    "1f": None, "1d": None, "infin": None, "--1": None, "1 5": None,
}  # fmt: skip

BOOLEANS = {
    **dict.fromkeys(["true", "TRUE", "t", "Yes", "y", "1", " true "], True),
    **dict.fromkeys(["false", "False", "F", "no", "N", "0", "\t0"], False),
    **dict.fromkeys(["", "2", "on", "off", "truee", "1.0", "nein", "-1"], None),
}

DATES = {
    "2021-02-03": date(2021, 2, 3), " 2021-02-03 ": date(2021, 2, 3), "2020-02-29": date(2020, 2, 29),
    "0001-01-01": date(1, 1, 1), "9999-12-31": date(9999, 12, 31), "2021-02-29": None, "2021-02-30": None,
    "2021-13-01": None, "2021-00-01": None, "2021-2-3": None, "2021/02/03": None, "20210203": None,
    "2021-02-03 10:11": None, "2021-02-03T": None, "0000-01-01": None, "10000-01-01": None, "+2021-02-03": None,
    "-001-01-01": None, "2021- 2-03": None, "٢٠٢١-٠٢-٠٣": None, "": None, " ": None, "\n2021-02-03": None,
}  # fmt: skip

TIMESTAMPS = {
    "2021-02-03 10:11:12": STAMP, "2021-02-03T10:11:12": STAMP, " 2021-02-03 10:11:12\t": STAMP,
    "2021-02-03 10:11": STAMP.replace(second=0), "2021-02-03T10:11": STAMP.replace(second=0),
    "2021-02-03 10:11:12.5": STAMP.replace(microsecond=500_000),
    "2021-02-03T10:11:12.123456": STAMP.replace(microsecond=123_456),
    "2021-02-03T10:11:12.000001": STAMP.replace(microsecond=1),
    "9999-12-31 23:59:59.999999": datetime(9999, 12, 31, 23, 59, 59, 999_999),  # noqa: DTZ001
    "0001-01-01 00:00:00": datetime(1, 1, 1),  # noqa: DTZ001
    "2021-02-03 10:11:12.1234567": None, "2021-02-03 10:11:12.": None, "2021-02-03": None, "2021-02-03 24:00": None,
    "2021-02-03 25:00:00": None, "2021-02-03 10:60": None, "2021-02-03 10:11:60": None, "2021-02-03 1:2": None,
    "2021-02-30 10:11:12": None, "2021-02-03  10:11:12": None, "2021-2-03  10:11:12": None,
    "2021-02-03\t10:11:12": None,
    "2021-02-03t10:11:12": None, "2021-02-03T10:11:12Z": None, "2021-02-03T10:11:12+02:00": None, "10:11:12": None,
    "0000-01-01 00:00:00": None, "": None, "1612347072": None,
}  # fmt: skip

UTC_STAMP = STAMP.replace(tzinfo=UTC)
INSTANTS = {
    "2021-02-03T10:11:12Z": UTC_STAMP, "2021-02-03 10:11:12": UTC_STAMP, "2021-02-03T12:11:12+02:00": UTC_STAMP,
    "2021-02-03 12:11:12+0200": UTC_STAMP, "2021-02-03T12:11:12+02": UTC_STAMP, "2021-02-03T04:41:12-05:30": UTC_STAMP,
    "2021-02-03T10:11Z": UTC_STAMP.replace(second=0), " 2021-02-03T10:11:12Z ": UTC_STAMP,
    "2021-02-03T10:11:12.25-00:00": UTC_STAMP.replace(microsecond=250_000),
    "2021-02-03T12:11:12 +02:00": None, "2021-02-03T12:11:12+19:00": None, "2021-02-03T12:11:12+02:60": None,
    "2021-02-30T10:11:12Z": None, "2021-02-03T24:11:12Z": None, "9999-12-31T23:59:59-10:00": None,
    "0001-01-01T00:00:00+01:00": None, "2021-02-03Z": None, "Z": None, "": None,
}  # fmt: skip

TABLES = [
    ("int64", "", {**INTEGERS, "9223372036854775807": 2**63 - 1, "9223372036854775808": None,
                   "-9223372036854775808.0": -(2**63), "2147483648": 2**31}),
    ("int32", "", {**INTEGERS, "2147483647": 2**31 - 1, "2147483648": None, "-2147483648": -(2**31),
                   "2147483648.0": None}),
    ("decimal(10,2)", "", DECIMALS),
    ("decimal(38,0)", "", {"9" * 38: D("9" * 38), "-" + "9" * 38: D("-" + "9" * 38), "1" + "0" * 38: None,
                           "1.0": D(1), "1.5": None}),
    ("decimal(38,38)", "", {"0." + "9" * 38: D("0." + "9" * 38), "1": None, "0." + "0" * 37 + "1": D("1e-38")}),
    ("float64", "", FLOATS),
    ("float32", "", {"1.5": 1.5, "1e39": None, "inf": math.inf, "x": None}),
    ("boolean", "", BOOLEANS),
    ("date", "", DATES),
    ("date", "%d/%m/%Y", {"03/02/2021": date(2021, 2, 3), "3/2/2021": date(2021, 2, 3), " 03/02/2021": date(2021, 2, 3),
                          "30/02/2021": None, "03/02/21": None, "+3/2/2021": None, "2021-02-03": None, "": None}),
    ("date", "%m/%d/%y", {"02/03/21": date(2021, 2, 3), "02/03/69": date(1969, 2, 3), "02/03/68": date(2068, 2, 3),
                          "02/03/2021": None}),
    ("date", "%d %b %Y", {"3 Feb 2021": date(2021, 2, 3), "03 FEB 2021": date(2021, 2, 3), "3  Feb 2021": None,
                          "3 Fev 2021": None}),
    ("timestamp", "", TIMESTAMPS),
    ("timestamp", "%d/%m/%Y %H:%M", {"3/2/2021 8:26": datetime(2021, 2, 3, 8, 26), "3/2/2021 08:26:00": None,  # noqa: DTZ001
                                     "3/2/2021  08:26": None, "3/2/2021 24:00": None}),
    ("timestamp", "%Y.%m.%d %H:%M:%S.%f", {"2021.02.03 10:11:12.000001": STAMP.replace(microsecond=1),
                                           "2021.02.03 10:11:60.0": None}),
    ("timestamp", "%m/%d/%Y %I:%M %p", {"2/3/2021 8:26 PM": datetime(2021, 2, 3, 20, 26), "2/3/2021 13:00 PM": None}),  # noqa: DTZ001
    ("timestamp", "%Y%m%d", {"20210203": datetime(2021, 2, 3), "20210230": None}),  # noqa: DTZ001
    ("timestamp_utc", "", INSTANTS),
    ("timestamp_utc", "%d/%m/%Y %H:%M:%S", {"03/02/2021 10:11:12": UTC_STAMP}),
    ("timestamp_utc", "%d/%m/%Y %H:%M:%S %z", {"03/02/2021 12:11:12 +0200": UTC_STAMP, "03/02/2021 12:11:12": None}),
    ("string", "", {"": "", " x ": " x ", "5": "5"}),
    ("binary", "", {"": b"", "é": "é".encode()}),
]  # fmt: skip


@pytest.mark.parametrize("case", TABLES, ids=lambda case: " ".join(case[:2]).strip())
def test_meaning(case, engine, rows, text_frame):
    kind, pattern, table = case
    frame = text_frame([*table, None])
    found = rows(engine.cast_columns(frame, {"value": ("text", DataType.parse(kind), pattern)}))
    assert {row["text"]: row["value"] for row in found} == {**table, None: None}


@pytest.mark.parametrize("kind", ["int64", "decimal(10,2)", "float64", "boolean", "date", "timestamp", "timestamp_utc"])
def test_each_value_alone(kind, engine, rows, text_frame):
    """A batch with one kind of value takes other ways through an engine than a mixed one."""
    table = next(table for name, _, table in TABLES if name == kind)
    to = DataType.parse(kind)
    for text in [*list(table)[:6], *list(table)[-6:]]:
        found = rows(engine.cast_columns(text_frame([text, text]), {"value": ("text", to, "")}))
        assert [row["value"] for row in found] == [table[text]] * 2, text


@pytest.mark.parametrize("case", TABLES, ids=lambda case: " ".join(case[:2]).strip())
def test_values_that_repeat_in_runs(case, engine, rows, text_frame):
    """The rows of one order share its date and customer; an engine may read such a value once."""
    kind, pattern, table = case
    texts = [text for text in [*table, None] for _ in range(5)] * 2
    found = rows(engine.cast_columns(text_frame(texts), {"value": ("text", DataType.parse(kind), pattern)}))
    assert [row["text"] for row in found] == texts
    assert [row["value"] for row in found] == [{**table, None: None}[text] for text in texts]


def test_nan(engine, rows, text_frame):
    frame = text_frame(["nan", "NaN", "-NAN"])
    found = rows(engine.cast_columns(frame, {"value": ("text", DataType("float64"), "")}))
    assert all(math.isnan(row["value"]) for row in found)


def test_no_rows_and_only_null(engine, rows, text_frame):
    frame = text_frame([None, None])
    for kind in ("int64", "decimal(10,2)", "float64", "boolean", "date", "timestamp", "timestamp_utc", "string"):
        cast = engine.cast_columns(frame, {"value": ("text", DataType.parse(kind), "")})
        assert [row["value"] for row in rows(cast)] == [None, None]
        assert rows(cast.head(0)) == []


def test_all_casts_read_the_frame_as_it_was(engine, rows, text_frame):
    casts = {
        "text": ("number", DataType("int64"), ""),
        "number": ("text", DataType("float64"), ""),
        "new": ("text", DataType("string"), ""),
    }
    found = rows(engine.cast_columns(text_frame(["1.5"]), casts))[0]
    assert list(found) == ["number", "text", "_source_file", "_source_row", "new"]
    assert (found["number"], found["text"], found["new"]) == (1.5, 0, "1.5")


@pytest.mark.parametrize("directive", DIRECTIVES)
def test_every_directive_of_the_contract_is_known(directive, engine, rows, text_frame):
    value = datetime(2003, 2, 1, 10, 11, 12, 130000, UTC)
    year = "" if directive == "%y" else "%Y"
    pattern = f"{year}-%m-%d %I:%M:%S.%f %p %z {directive}"
    frame = engine.cast_columns(
        text_frame([value.strftime(pattern)]), {"value": ("text", DataType.parse("timestamp_utc"), pattern)}
    )
    assert [row["value"] for row in rows(frame)] == [value]


@pytest.mark.parametrize(
    ("cast", "words"),
    [
        (("txt", DataType("int64"), ""), "no column 'txt'; did you mean 'text'"),
        (("_source_row", DataType("int64"), ""), "not text"),
        (("text", DataType("date"), "%d/%Q"), "'%Q' is no directive"),
        (("text", DataType("timestamp"), "%Y %z"), "use timestamp_utc"),
        (("text", DataType("date"), "%Y-%m"), "a day, %d with %m, %b or %B, or %j"),
        (("text", DataType("timestamp"), "%Y-%m-%d %I:%M"), "%I and %p together"),
        (("text", DataType("timestamp"), "%Y-%m-%d %H"), "a minute for its hour, %M"),
        (("text", DataType("array", element="string"), ""), "cannot be cast to array<string>"),
    ],
)
def test_casts_that_cannot_be(cast, words, engine, text_frame):
    with pytest.raises(StepError) as error:
        engine.cast_columns(text_frame(["1"]), {"value": cast})
    assert words in str(error.value)


def read_back(engine, rows, texts, kind, pattern=""):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "f.csv")
        path.write_text("n,text\n" + "".join(f'1,"{text}"\n' for text in texts), encoding="utf-8")
        frame = engine.scan_source([SourceFile(path, "f")], {"format": "csv"}).rows
        cast = engine.cast_columns(frame, {"value": ("text", DataType.parse(kind), pattern)})
        return [row["value"] for row in rows(cast)]


QUICK = settings(max_examples=40, deadline=None)
BLANKS = st.text(alphabet=" \t", max_size=2)


@QUICK
@given(st.lists(st.tuples(st.integers(-(2**65), 2**65), st.sampled_from(["", ".", ".0", ".000"]), BLANKS), min_size=1))
def test_integers_come_back_exactly(engine, rows, values):
    texts = [f"{blank}{number}{zeros}{blank}" for number, zeros, blank in values]
    expected = [number if -(2**63) <= number < 2**63 else None for number, _, _ in values]
    assert read_back(engine, rows, texts, "int64") == expected


@QUICK
@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**22), max_value=10**22, places=None), min_size=1))  # fmt: skip  # noqa: E501
def test_decimals_come_back_exactly_or_not_at_all(engine, rows, values):
    def expected(value):
        exact = round(value, 3) == value if abs(value) < 10**20 else value == int(value)
        return value if exact and abs(value) < 10**15 else None

    texts = [f"{value:f}" for value in values]
    assert read_back(engine, rows, texts, "decimal(18,3)") == [expected(value) for value in values]


@QUICK
@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_floats_come_back_exactly(engine, rows, values):
    assert read_back(engine, rows, [repr(value) for value in values], "float64") == values


@QUICK
@given(st.lists(st.text(alphabet="0123456789+-.eE_infa ", max_size=8), min_size=1))
def test_floats_are_what_python_takes(engine, rows, texts):
    def expected(text):
        try:
            value = float(text.strip(" \t").replace("_", "!"))
        except ValueError:
            return None
        return None if math.isinf(value) and any(letter.isdigit() for letter in text) else value

    found = read_back(engine, rows, texts, "float64")
    assert [repr(value) for value in found] == [repr(expected(text)) for text in texts]


@QUICK
@given(st.lists(st.datetimes(), min_size=1), st.sampled_from([" ", "T"]))
def test_timestamps_come_back_exactly(engine, rows, values, separator):
    assert read_back(engine, rows, [value.isoformat(separator) for value in values], "timestamp") == values


FIRST, LAST = datetime(1969, 1, 1), datetime(2068, 12, 31)  # noqa: DTZ001  the century that %y stands for
PATTERNS = ["%d/%m/%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%b %d %Y %I:%M:%S %p", "%Y%m%d%H%M%S", "%d.%m.%y %H:%M:%S"]


@QUICK
@given(
    st.lists(st.datetimes(min_value=FIRST, max_value=LAST), min_size=1),
    st.sampled_from(PATTERNS),
)
def test_patterns_read_what_they_write(engine, rows, values, pattern):
    values = [value.replace(microsecond=0) for value in values]
    assert read_back(engine, rows, [value.strftime(pattern) for value in values], "timestamp", pattern) == values
