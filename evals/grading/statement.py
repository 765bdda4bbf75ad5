"""A place in a text that states an answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MAX_ANSWER_CHARS = 2_000
"""A longer statement is not an answer."""
MAX_STATEMENTS = 64
"""How many of the last statements of one kind are considered."""


@dataclass(frozen=True, slots=True)
class Statement:
    """``text`` is what the text says at ``at`` (a character offset), verbatim.

    ``end`` is where an enclosing box or tag closes: no other reader looks inside. ``certain``: it is meant as an
    answer, as a box is; "the answer is correct" may not be.
    """

    reader: str
    at: int
    text: str
    certain: bool = True
    end: int = 0


Reader = Callable[[str], Iterator[Statement]]

_CURRENCY = r"(?:\\?\$|[€£¥])"
_VALUE = re.compile(
    rf"""[\s*_`"']*(?:(?:option|choice)\s+)?(?:
        [-+−±]?\s?{_CURRENCY}?\s?[-+−]?\.?\d     # a number, an amount of money
      | \$ | \\[a-zA-Z([{{|] | [(\[{{|√π∞∅⌊]       # a formula
      | [A-Za-z]['′]?(?:_\S{{1,12}}|\d)?\s*(?:$|[-.,;:)*/^=(<>!+]|(?:or|and|since|because)\b)   # a letter or a name
    )""",
    re.VERBOSE,
)


def like_a_value(text: str) -> bool:
    """Whether ``text`` begins like a number, a formula or a choice, and not like a sentence."""
    return _VALUE.match(text) is not None
