"""Sizes and times as people write them: what each means, that nothing is lost, and what is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oreflow.quantities import bytes_of, time_of, time_text


@pytest.mark.parametrize(
    ("text", "size"),
    [("512MiB", 512 * 2**20), ("8 GB", 8 * 10**9), ("1.5 kB", 1500), ("0B", 0), ("2 TiB", 2 * 2**40), ("3KiB", 3072)],
)
def test_sizes(text, size):
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "5", "MB", "-1 MB", "1,5 GB", "5 mb", "1 GB extra", "1.5.2 GB", "٣ MB"])
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match="is no size such as 512 MiB"):
        bytes_of(text)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (300, 300),
        (0.25, 0.25),
        ("5m", 300),
        ("1h30m", 5400),
        ("200ms", 0.2),
        ("1.5s", 1.5),
        ("2d", 172_800),
        ("1w", 604_800),
        ("PT5M", 300),
        ("P1DT2H", 93_600),
        ("P2W", 1_209_600),
        ("PT0.5S", 0.5),
        ("0s", 0),
    ],
)
def test_times(value, seconds):
    assert time_of(value) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "m", "P", "PT", "P1DT", "5 m", "1m1h", "P1Y", "-5m", "1e3s", "99999999999999d"]
)
def test_what_is_no_time(text):
    with pytest.raises(ValueError, match=r"is no time such as 300|is longer than any time"):
        time_of(text)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=100_000)))
def test_a_time_comes_back_from_its_text(time):
    assert time_of(time_text(time)) == time
