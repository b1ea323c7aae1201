"""Texts that engines have ideas of their own about: white space, letters of regular expressions, names of columns."""

from __future__ import annotations

import oreflow

ODD = [
    *("abc", "abc\n", "a\n", "x\r\n", "\u0663", "3", "\u00e9", "\u03c3", "\ufb01", "\u00a0x\u00a0", "\u2003x"),
    *("\u0085x", "\u2028", "\u017f", "a\rb", "\u000bx", " 7\u00a0", "\u20097", "-", "(", "_", "A1_", "\t1\t"),
    *("\x1f2", "\ufeff3", "\u200b4"),
]
PATTERNS = [r"^abc$", r"^.$", r"^\d+$", r"^\w+$", r"\s", r"^\D$", r"^\W", r"[\w-]+$", r"^[^a-z]+$", r"^(?:a|b)b?"]
DECLARATION = r"""
name: texts
sources: {odd: {path: "./data/raw/*.csv", format: csv}}
tables:
  bronze.odd: {source: odd}
  silver.odd:
    input: bronze.odd
    columns:
      n: {type: int64}
      s: {type: string}
      trimmed: {from: s, type: string, clean: [trim]}
      number: {from: s, type: int64, clean: [trim]}
      "${x}": {type: int64}
    checks: CHECKS
  gold.odd:
    input: silver.odd
    group_by: {"${x}": '"${x}"'}
    measures: {n: "count(*)", most: 'max("${x}")'}
"""


def test_they_are_the_same_on_both(project, spark):
    checks = "\n".join(
        f"      - {{name: 'p{number}', type: validity, column: s, pattern: '{pattern}', action: warn}}"
        for number, pattern in enumerate(PATTERNS)
    )
    set_aside = r"      - {name: digits, type: validity, column: trimmed, pattern: '^[\w\s]+$'}"
    rows = [f'{number},"{text}",{number % 3}' for number, text in enumerate(ODD)]
    made = project(DECLARATION.replace("CHECKS", f"\n{checks}\n{set_aside}"), {})
    made.put("odd.csv", ("n,s,${x}\n" + "\n".join(rows) + "\n").encode())
    found = oreflow.parity(made.root)
    assert found.equal, [(table.table, table.quarantine, table.differences) for table in found.tables]


def test_a_pattern_that_engines_read_otherwise_is_refused_before_a_run(project):
    for pattern in (r"(?i)É", r"[[:alpha:]]", r"(?m)^b$", r"\v", r"[a#--b]", r"\Aabc\Z", r"(?P<n>a)", r"a\b", r"(?=a)"):
        made = project(DECLARATION.replace("CHECKS", f"[{{type: validity, column: s, pattern: '{pattern}'}}]"), {})
        done = made.cli("plan")
        assert done.code == 2, pattern
        assert f"tables.silver.odd.checks.0.pattern: the pattern '{pattern}'" in done.err
        assert "Warning" not in done.err
