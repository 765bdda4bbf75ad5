"""Replies that list numbers or outlines, in any format."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.core.prompting.reply import numbers, outlines


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[2, 1]", [2, 1]),
        ("I like [1, 2], but no: [3,\n 1]", [3, 1]),
        ("[3, 3, 9, 0, 1]", [3, 1]),
        ("2 and 1", []),
        ("[]", []),
        ("[two]", []),
    ],
)
def test_numbers_of_the_last_list(text: str, found: list[int]) -> None:
    assert numbers(text, 4) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1. Add.\n2. **Multiply** by two.", ["Add.", "Multiply** by two."]),
        ("Plans:\n  **1.** First\n### 2) Second\n10: Tenth", ["First", "Second", "Tenth"]),
        ("<Outline>1: 12 - 7 = 5, left 5 3 20</Outline>\n<Outline>2: 3 * 7 = 21</Outline>",
         ["12 - 7 = 5, left 5 3 20", "3 * 7 = 21"]),
        ("<outline>Use induction.</outline>\n1. not this", ["Use induction."]),
        ("1. same\n2. same\n3. other", ["same", "other"]),
        ("nothing", []),
    ],
)  # fmt: skip
def test_outlines_by_tags_or_by_numbers(text: str, found: list[str]) -> None:
    assert outlines(text, 5) == found
    assert outlines(text, 1) == found[:1]


@given(st.text(alphabet="[]<>/Outline0123456789.,: \n*", max_size=400), st.integers(1, 8))
def test_whatever_a_model_says_the_lists_are_in_bounds(text: str, count: int) -> None:
    named, found = numbers(text, count), outlines(text, count)
    assert len(set(named)) == len(named)
    assert all(1 <= number <= count for number in named)
    assert len(found) <= count
    assert len(set(found)) == len(found)
    assert all(found)


def test_long_replies_are_read_quickly_and_outlines_cut() -> None:
    assert numbers("[1," * 200_000, 3) == []
    assert outlines("<outline>" * 100_000, 3) == []
    assert len(outlines("1. " + "x" * 19_000, 3)[0]) == 2_000
