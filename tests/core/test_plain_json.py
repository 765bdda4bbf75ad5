"""JSON from outside: whole characters, and valid numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.core.plain_json import parse, well_formed

LONE = "a\ud800b\udfffc"


def test_half_characters_are_replaced_one_by_one() -> None:
    assert well_formed(LONE) == "a\ufffdb\ufffdc"
    assert parse(json.dumps({LONE: [LONE, {"x": LONE}]})) == {
        "a\ufffdb\ufffdc": ["a\ufffdb\ufffdc", {"x": "a\ufffdb\ufffdc"}]
    }
    assert parse(r'"\ud83d\ude00"') == "\U0001f600"


@given(st.text(), st.lists(st.integers(0, 0x10FFFF).map(chr)))
def test_whatever_comes_can_be_stored(text: str, characters: list[str]) -> None:
    assert well_formed(text) == text
    odd = well_formed("".join(characters))
    odd.encode()
    assert len(odd) == len(characters)


@pytest.mark.parametrize("text", ["[NaN]", '{"x": Infinity}', "-Infinity", "1e999", "[-1E+0400]", "9" * 400 + ".0"])
def test_what_is_no_finite_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a JSON number|too large"):
        parse(text)
    parse(text, finite=False)


@pytest.mark.parametrize(
    ("text", "value"), [("1e30", 1e30), ("1e-999", 0.0), ('"1e999"', "1e999"), ("[1, 2.5]", [1, 2.5])]
)
def test_other_numbers_are_read(text: str, value: Any) -> None:
    assert parse(text) == value


def test_whole_numbers_that_no_float_holds_are_refused() -> None:
    for finite in (True, False):
        with pytest.raises(ValueError, match="too large"):
            parse("[" + "9" * 400 + "]", finite=finite)
    assert parse("[" + "9" * 300 + "]") == [int("9" * 300)]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, b"\xff\xfe", "", "[1", "9" * 5000])
def test_what_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)
