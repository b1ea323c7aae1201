"""Raw files as text: each record exactly, each line accounted for, whatever the files look like."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oreflow.contract import SourceFile, StepError

RELAXED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def records(found, columns="ab"):
    return [(row["_source_row"], *(row[column] for column in columns)) for row in found]


# content of the file; records with the number of their line; rejected lines with number and reason
CASES = {
    "plain": (b"a,b\n1,2\n3,4\n", [(2, "1", "2"), (3, "3", "4")], []),
    "no newline at the end": (b"a,b\n1,2\n3,4", [(2, "1", "2"), (3, "3", "4")], []),
    "crlf": (b"a,b\r\n1,2\r\n3,4\r\n", [(2, "1", "2"), (3, "3", "4")], []),
    "bom": (b"\xef\xbb\xbfa,b\n1,2\n", [(2, "1", "2")], []),
    "bom before a quoted name": (b'\xef\xbb\xbf"a",b\n1,2\n', [(2, "1", "2")], []),
    "bom inside the file": (
        b"a,b\n1\n\xef\xbb\xbf1,2\n",
        [(3, "\ufeff1", "2")],
        [(2, "1", "1 field where the header has 2")],
    ),
    "names are stripped": (b' a ,"b"\n1,2\n', [(2, "1", "2")], []),
    "empty is null, quoted empty is text": (b'a,b\n,""\n"",\n', [(2, None, ""), (3, "", None)], []),
    "all null": (b"a,b\n,\n", [(2, None, None)], []),
    "blanks are kept": (b"a,b\n 1 ,\t2\n", [(2, " 1 ", "\t2")], []),
    "escaped quotes": (b'a,b\n"x""y",""""\n', [(2, 'x"y', '"')], []),
    "quoted delimiter": (b'a,b\n"1,2",3\n', [(2, "1,2", "3")], []),
    "comment-like and escape-like": (b"a,b\n#1,\\n\n", [(2, "#1", "\\n")], []),
    "unicode": ("a,b\nÄ,漢\u2028字\n".encode(), [(2, "Ä", "漢\u2028字")], []),
    "record over lines": (b'a,b\n1,"x\ny"\n2,z\n', [(2, "1", "x\ny"), (4, "2", "z")], []),
    "crlf in quotes stays": (b'a,b\r\n1,"x\r\ny"\r\n2,z\r\n', [(2, "1", "x\r\ny"), (4, "2", "z")], []),
    "two fields over lines": (b'a,b\n"1\n2","3\n4"\n5,6\n', [(2, "1\n2", "3\n4"), (5, "5", "6")], []),
    "blank lines in quotes": (b'a,b\n1,"x\n\ny"\n', [(2, "1", "x\n\ny")], []),
    "blank lines are no rows": (b"a,b\n\n1,2\r\n\r\n3,4\n\n", [(3, "1", "2"), (5, "3", "4")], []),
    "lone cr belongs to the field": (b"a,b\n1\r2,3\n", [(2, "1\r2", "3")], []),
    "quote inside a field": (b'a,b\n5" pipe,x\ny,z"\n', [(2, '5" pipe', "x"), (3, "y", 'z"')], []),
    "blank before a quote": (b'a,b\n1, "x"\n', [(2, "1", ' "x"')], []),
    "too few": (b"a,b\n1\n2,3\n", [(3, "2", "3")], [(2, "1", "1 field where the header has 2")]),
    "too many": (b"a,b\n1,2,3\n4,5\n", [(3, "4", "5")], [(2, "1,2,3", "3 fields where the header has 2")]),
    "only blanks": (b"a,b\n  \n4,5\n", [(3, "4", "5")], [(2, "  ", "1 field where the header has 2")]),
    "cut off at the end": (b"a,b\n1,2\n3", [(2, "1", "2")], [(3, "3", "1 field where the header has 2")]),
    "text after quote": (b'a,b\n1,"2"x\n3,4\n', [(3, "3", "4")], [(2, '1,"2"x', "text after a closing quote")]),
    "quote never closed": (
        b'a,b\n1,"2\n3,4\n5,6\n',
        [(3, "3", "4"), (4, "5", "6")],
        [(2, '1,"2', "quote never closed")],
    ),
    "stray quote before a quoted field": (
        b'a,b\n1,"2\n3,4\n5,"6"\n',
        [(3, "3", "4"), (4, "5", "6")],
        [(2, '1,"2', "text after a closing quote")],
    ),
    "the rest of a broken record is no row": (
        b'a,b\n1,"2\n3"x,4\n5,6\n',
        [(4, "5", "6")],
        [
            (2, '1,"2', "text after a closing quote"),
            (3, '3"x,4', "stray quote after a line whose quote was not closed properly"),
        ],
    ),
    "record over lines of the wrong width": (
        b'a,b\n1,"2\n3",4\n5,6\n',
        [(4, "5", "6")],
        [(2, '1,"2\n3",4', "3 fields where the header has 2")],
    ),
    "not utf-8": (
        b"a,b\n1,2\n3,\xff4\n5,6\n",
        [(2, "1", "2"), (4, "5", "6")],
        [(3, "3,\\xff4", "not UTF-8: byte 0xff at position 3 of the line")],
    ),
    "nul": (b"a,b\n1,\x002\n3,4\n", [(3, "3", "4")], [(2, "1,\\x002", "NUL byte at position 3 of the line")]),
    "begins like compressed data": (b"x^2,b\n1,2\nx^3,4\n", [(2, "1", "2"), (3, "x^3", "4")], []),
    "begins like compressed data, with a damaged line": (
        b"x\x01,b\nx\x01,2\n3\n",
        [(2, "x\x01", "2")],
        [(3, "3", "1 field where the header has 2")],
    ),
    "records that begin like compressed data": (
        b"a,b\nx^1,2\n3\nx\x014,5\n",
        [(2, "x^1", "2"), (4, "x\x014", "5")],
        [(3, "3", "1 field where the header has 2")],
    ),
    "not utf-8 inside an open quote": (
        b'a,b\n1,"2\n\xff\n3,4\n',
        [(4, "3", "4")],
        [(2, '1,"2', "quote never closed"), (3, "\\xff", "not UTF-8: byte 0xff at position 1 of the line")],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_file(name, scan_texts, rows, rows_read):
    content, good, bad = CASES[name]
    scan = scan_texts({"f.csv": content})
    found = rows(scan.rows)
    assert records(found, [name for name in found[0] if not name.startswith("_")] if found else "ab") == good
    assert [(row["_source_row"], row["_raw"], row["_reason"]) for row in rows(scan.rejected)] == bad
    assert rows_read(scan) == len(good) + len(bad)
    assert not scan.unreadable


def test_a_header_over_lines(scan_texts, rows):
    scan = scan_texts({"f.csv": b'a,"b\nc"\n1,2\n3\n'})
    assert records(rows(scan.rows), ["a", "b\nc"]) == [(3, "1", "2")]
    assert [row["_source_row"] for row in rows(scan.rejected)] == [4]


def test_names_that_only_resemble_a_pattern(scan_texts, rows):
    names = ["^a", "a$", "a*", "$", "^", "a", "[ab]", "x-y"]
    scan = scan_texts({"1.csv": ",".join(names).encode() + b"\n1,2,3,4,5,6,7,8\n", "2.csv": b"a\n9\n"})
    first, second = rows(scan.rows)
    assert [first[name] for name in names] == list("12345678")
    assert [name for name in names if second[name] is not None] == ["a"]


@pytest.mark.parametrize("name", ["x.y", "x`y"])
def test_a_name_that_an_engine_cannot_keep_apart_is_refused_by_it(name, engine, scan_texts, rows):
    if engine.metadata.name == "polars":
        (row,) = rows(scan_texts({"f.csv": f"{name},x\n1,2\n".encode()}).rows)
        assert row[name] == "1"
    else:
        with pytest.raises(StepError, match=f"a column is called '{name}'.* - give the column another name"):
            scan_texts({"f.csv": f"{name},x\n1,2\n".encode()})


def test_one_column_a_blank_line_is_null(scan_texts, rows, rows_read):
    scan = scan_texts({"f.csv": b'a\n1\n\n""\n2\n'})
    assert records(rows(scan.rows), "a") == [(2, "1"), (3, None), (4, ""), (5, "2")]
    assert rows_read(scan) == 4


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("delimiter", [";", "\t", "|", " ", "^", "-", "]", "\\"])
def test_delimiters(delimiter, end, scan_texts, rows):
    lines = [b"a;b", b'1;"2;3"', b";", b'x;"y']
    content = end.join(lines).replace(b";", delimiter.encode()) + end
    scan = scan_texts({"f.csv": content}, delimiter=delimiter)
    assert records(rows(scan.rows)) == [(2, "1", f"2{delimiter}3"), (3, None, None)]
    assert [row["_source_row"] for row in rows(scan.rejected)] == [4]


@pytest.mark.parametrize(
    ("options", "word"),
    [({"delimiter": ",,"}, "delimiter"), ({"delimiter": '"'}, "delimiter"), ({"encoding": "latin-1"}, "latin-1")],
)
def test_options_that_cannot_be(options, word, scan_texts):
    with pytest.raises(StepError, match=word):
        scan_texts({"f.csv": b"a\n1\n"}, **options)


def test_other_formats_are_refused(engine):
    with pytest.raises(StepError, match="xlsx"):
        engine.scan_source([], {"format": "xlsx"})


UNREADABLE = {
    "empty": (b"", "empty"),
    "blank first line": (b"\na,b\n1,2\n", "first line is blank"),
    "only a bom": (b"\xef\xbb\xbf", "first line is blank"),
    "not utf-8": (b"a,\xff\n1,2\n", "byte 0xff at position 3"),
    "utf-16": ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
    "repeated name": (b"a,b,a\n1,2,3\n", "'a' more than once"),
    "repeated after stripping": (b"a, a\n1,2\n", "'a' more than once"),
    "no name": (b"a,,c\n1,2,3\n", "no name for column 2"),
    "reserved": (b"a,_source_row\n1,2\n", "_source_row"),
    "reserved in capitals": (b"a,_BATCH_ID\n1,2\n", "_BATCH_ID"),
    "binary": (b"\x7fELF\x00\x01\n1,2\n", "NUL"),
    "gzip": (gzip.compress(b"a,b\n1,2\n"), "gzip"),
    "quote never closed": (b'a,"b\n1,2\n', "quote never closed"),
    "a name that stands for all": (b"a,*\n1,2\n", "'*'"),
    "a name that stands for others": (b"a,^b$\n1,2\n", "'^b$'"),
    "old mac line ends": (b"a,b\r1,2\r", "carriage return"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable(name, scan_texts, rows, rows_read):
    content, word = UNREADABLE[name]
    scan = scan_texts({"bad.csv": content, "good.csv": b"a,b\n1,2\n"})
    assert [file.label for file in scan.unreadable] == ["bad.csv"]
    assert word in scan.unreadable[0].reason
    assert records(rows(scan.rows)) == [(2, "1", "2")]
    assert [(row["_raw"], row["_source_file"], row["_source_row"]) for row in rows(scan.rejected)] == [
        (None, "bad.csv", None)
    ]
    assert rows_read(scan) == 2, "a file set aside whole counts as one row"


def test_missing_directory_and_forbidden(engine, tmp_path, rows, rows_read):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "secret.csv").write_bytes(b"a\n1\n")
    (tmp_path / "secret.csv").chmod(0)
    (tmp_path / "good.csv").write_bytes(b"a\n1\n")
    names = ["missing.csv", "folder.csv", "good.csv"] + (["secret.csv"] if os.geteuid() else [])
    scan = engine.scan_source([SourceFile(tmp_path / name, name) for name in names], {"format": "csv"})
    reasons = {file.label: file.reason for file in scan.unreadable}
    assert reasons.pop("missing.csv") == "there is no such file"
    assert reasons.pop("folder.csv") == "it is a directory"
    assert set(reasons.values()) <= {"permission denied"}
    assert rows_read(scan) == len(names)


def test_a_path_that_is_not_utf8(engine, tmp_path, rows):
    (tmp_path / "good.csv").write_bytes(b"a\n1\n")
    path = tmp_path / os.fsdecode(b"caf\xe9.csv")
    path.write_bytes(b"a\n1\n")
    scan = engine.scan_source([SourceFile(path, "caf\\xe9.csv"), SourceFile(tmp_path / "good.csv", "g")], {})
    assert [(file.label, file.reason) for file in scan.unreadable] == [("caf\\xe9.csv", "its path is not UTF-8")]
    assert records(rows(scan.rows), "a") == [(2, "1")]
    assert len(rows(scan.rejected)) == 1


def test_nothing_to_read(engine, scan_texts, rows, rows_read):
    empty = engine.scan_source([], {"format": "csv"})
    assert (empty.rows, empty.rejected, rows_read(empty), empty.unreadable) == (None, None, 0, ())
    header_only = scan_texts({"f.csv": b"a,b\n"})
    assert (rows(header_only.rejected), rows_read(header_only)) == ([], 0)
    assert header_only.rows.collect_schema().names() == ["a", "b", "_source_file", "_source_row"]
    assert rows(header_only.rows) == []


def test_columns_are_matched_by_name(scan_texts, rows, rows_read):
    scan = scan_texts(
        {
            "1.csv": b"a,b\n1,2\n",
            "2.csv": b"b,a\n3,4\n",
            "3.csv": b"c,a\n5,6\n",
            "4.csv": b"a,d\n7\n8,9\n",
            "5.csv": b"a,e\n",
        }
    )
    found = rows(scan.rows)
    assert list(found[0]) == ["a", "b", "c", "d", "e", "_source_file", "_source_row"]
    assert [tuple(row.values()) for row in found] == [
        ("1", "2", None, None, None, "1.csv", 2),
        ("4", "3", None, None, None, "2.csv", 2),
        ("6", None, "5", None, None, "3.csv", 2),
        ("8", None, None, "9", None, "4.csv", 3),
    ]
    assert rows_read(scan) == 5


def test_many_files_keep_their_names(engine, tmp_path, rows, rows_read):
    files, expected = [], []
    for number in range(40):
        path = tmp_path / f"day [{number}] *?.csv"
        lines = [f"{number}-{line}" for line in range(number % 4)]
        path.write_text("\n".join(["a,b"] + [f"{line},x" for line in lines]) + "\n")
        files.append(SourceFile(path, f"label/{number:02}"))
        expected += [(f"label/{number:02}", row, text) for row, text in enumerate(lines, start=2)]
    scan = engine.scan_source(files, {"format": "csv"})
    assert [(row["_source_file"], row["_source_row"], row["a"]) for row in rows(scan.rows)] == expected
    assert rows_read(scan) == len(expected)


@pytest.mark.parametrize("last", ["1,2\n", "1,2", "1,2,3\n", "1", '"1\n1",2', "\ufeff1,2\n"])
def test_large_files_to_the_last_line(last, scan_texts, rows, rows_read):
    """Engines look at large files piece by piece; what is wrong may be in the last one."""
    many, line = 50_000, b"1," + b"y" * 100 + b"\n"  # about five megabytes
    scan = scan_texts({"large.csv": b"a,b\n" + line * many + last.encode(), "small.csv": b"a,b\n1,2\n"})
    good = last.rstrip("\n") not in ("1,2,3", "1")
    assert len(rows(scan.rows)) == many + good + 1
    assert [row["_source_row"] for row in rows(scan.rejected)] == ([] if good else [many + 2])
    assert rows_read(scan) == many + 2


@pytest.mark.parametrize("width", [400, 401, 2044, 2045, 3000])
@pytest.mark.parametrize("quoted", [False, True])
def test_wide_files(width, quoted, scan_texts, rows, rows_read):
    """One of them cleanly, one with damaged lines; and neither troubles a narrow one, or one that is no text."""
    value = '"a,""b"' if quoted else "a"
    fields = [value, *["x"] * (width - 2), value]
    line, header = ",".join(fields), ",".join(f"c{number}" for number in range(width))
    damaged = [line, ",".join(fields[1:]), line, f"{line},x", "", line]
    scan = scan_texts(
        {
            "clean.csv": f"{header}\n{line}\n{line}\r\n{line}".encode(),
            "damaged.csv": "\n".join([header, *damaged]).encode(),
            "narrow.csv": b"c0,c1\n1,2\n",
            "no text.csv": f"{header}\n".encode() + b"\xff\n",
        }
    )
    text = 'a,"b' if quoted else "a"
    assert records(rows(scan.rows), ["c0", f"c{width - 1}"]) == [
        *[(number, text, text) for number in (2, 3, 4)],
        *[(number, text, text) for number in (2, 4, 7)],
        (2, "1", None),
    ]
    assert [(row["_source_file"], row["_source_row"]) for row in rows(scan.rejected)] == [
        ("damaged.csv", 3),
        ("damaged.csv", 5),
        ("no text.csv", 2),
    ]
    assert rows_read(scan) == 10


def test_an_endless_line(scan_texts, rows):
    long = "x" * 9_000_000
    scan = scan_texts({"f.csv": f"a,b\n{long},2\n{long}\n3,4\n".encode()})
    assert [(row["a"] == long, row["b"], row["_source_row"]) for row in rows(scan.rows)] == [
        (True, "2", 2),
        (False, "4", 4),
    ]
    assert [row["_source_row"] for row in rows(scan.rejected)] == [3]


def test_the_same_file_twice_is_two_files(engine, tmp_path, rows, rows_read):
    path = tmp_path / "f.csv"
    path.write_bytes(b"a,b\n1,2\n")
    scan = engine.scan_source([SourceFile(path, "x"), SourceFile(path, "y")], {"format": "csv"})
    assert sorted(row["_source_file"] for row in rows(scan.rows)) == ["x", "y"]
    assert rows_read(scan) == 2


def test_a_quote_that_is_open_for_too_long_rejects_one_line(scan_texts, rows):
    good = [f"{number},x" for number in range(3000)]
    scan = scan_texts({"f.csv": "\n".join(["a,b", '1,"2', *good, 'y,"z"']).encode()})
    assert [row["_source_row"] for row in rows(scan.rejected)] == [2]
    assert len(rows(scan.rows)) == 3001


def test_csv_spectrum(engine, shared_data, require, rows):
    folder = shared_data / "csv_spectrum"
    require(folder, f"{folder} is missing")
    for path in sorted((folder / "csvs").glob("*.csv")):
        if path.stem == "location_coordinates":
            continue  # its JSON has another phone number than the csv
        scan = engine.scan_source([SourceFile(path, path.name)], {"format": "csv"})
        found = [
            {name: value or "" for name, value in row.items() if not name.startswith("_source")}
            for row in rows(scan.rows)
        ]
        assert found == json.loads((folder / "json" / f"{path.stem}.json").read_text()), path.stem
        assert rows(scan.rejected) == []
        assert not scan.unreadable


TEXT = st.text(
    st.one_of(st.sampled_from('",;|\n\t a1é漢'), st.characters(codec="utf-8", exclude_characters="\0\r")), max_size=6
)


@st.composite
def tables(draw):
    width = draw(st.integers(1, 4))
    return draw(st.lists(st.lists(TEXT, min_size=width, max_size=width), min_size=0, max_size=8)), width


def written(table, width, delimiter, end, quoting):
    """The text of a table and, for each record, the number of its first line."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow([f"c{number}" for number in range(width)])
    starts = []
    for row in table:
        starts.append(out.getvalue().count("\n") + 1)
        writer.writerow(row)
    return out.getvalue().encode(), starts


@RELAXED
@given(
    tables(),
    st.tuples(
        st.sampled_from(",;|\t"),
        st.sampled_from(["\n", "\r\n"]),
        st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        st.booleans(),
    ),
)
def test_what_a_csv_writer_wrote_comes_back(engine, rows, rows_read, table, dialect):
    (values, width), (delimiter, end, quoting, bom) = table, dialect
    content, starts = written(values, width, delimiter, end, quoting)
    columns = [f"c{number}" for number in range(width)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "f.csv")
        path.write_bytes(b"\xef\xbb\xbf" + content if bom else content)
        scan = engine.scan_source([SourceFile(path, "f")], {"format": "csv", "delimiter": delimiter})
        found = records(rows(scan.rows), columns)
        rejected = rows(scan.rejected)
    # The writer leaves an empty field without quotes, but for one alone on its line.
    empty = None if quoting == csv.QUOTE_MINIMAL and width > 1 else ""
    assert found == [(start, *(value or empty for value in row)) for start, row in zip(starts, values, strict=True)]
    assert not rejected
    assert rows_read(scan) == len(values)


DAMAGE = [
    lambda line: line + b",9",
    lambda line: line.split(b",", 1)[0],
    lambda line: line + b"\xff",
    lambda line: line + b"\0",
    lambda line: b'"' + line.replace(b'"', b""),
    lambda line: b'"x"y' + line,
]


@RELAXED
@given(st.integers(1, 30), st.randoms(use_true_random=False), st.data())
def test_damaged_lines_take_no_others_with_them(engine, rows, rows_read, count, rng: random.Random, data):
    damaged = data.draw(st.sets(st.integers(0, count - 1), max_size=5))
    lines, good = [], []
    for number in range(count):
        row = [str(number), rng.choice(["x", "", 'q"q', "a b"]), rng.choice(["1.5", "é"])]
        line = ",".join('"' + cell.replace('"', '""') + '"' if '"' in cell else cell for cell in row).encode()
        if number in damaged:
            line = rng.choice(DAMAGE)(line)
        else:
            good.append((number + 2, *(cell or None for cell in row)))
        lines.append(line)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "f.csv")
        path.write_bytes(b"\n".join([b"a,b,c", *lines]))
        scan = engine.scan_source([SourceFile(path, "f")], {"format": "csv"})
        found, rejected = records(rows(scan.rows), "abc"), rows(scan.rejected)
    assert found == good
    assert [row["_source_row"] for row in rejected] == [number + 2 for number in sorted(damaged)]
    assert rows_read(scan) == count
