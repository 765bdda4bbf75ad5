"""The score that a judge's reply states."""

from __future__ import annotations

import re

_LINE_CHARS = 500
_MARKUP = " \t\r\n*_`\"'.!()[]{}$"
_NUMBER = r"(?P<number>[-+]?\d{1,6}(?:\.\d{1,6})?)"
_OF = r"(?:\s{0,3}(?:/|out of)\s{0,3}(?P<most>\d{1,6}))?"
_BOX = r"(?:\\boxed\s?\{)?\s?"
_SCALE = r"(?:\s?\([^()\n]{1,30}\))?"
_BETWEEN = r"[\s*_`:=$({]{0,8}(?:is|of)?[\s*_`:=$({]{0,8}"
_ALONE = re.compile(rf"{_BOX}{_NUMBER}{_OF}")
_NAMED = re.compile(rf"\b(?:score|rating|grade)\b{_SCALE}{_BETWEEN}{_BOX}{_NUMBER}{_OF}", re.IGNORECASE)
_GOES_ON = re.compile(r"[\d%]|[.,/-]\s{0,2}\d|\s{0,2}(?:to|or|-|/)\s{0,2}\d")


def stated_score(text: str, least: float, most: float) -> float | None:
    """The number from ``least`` to ``most`` with which ``text`` ends; None for no number, one out of range, or several.

    It stands in the last line, alone ("7", "7/10") or named ("Score: 7"); on another scale ("7/5") it is no score.
    Earlier lines are not searched: a number in the course of the reasoning is no score.
    """
    line = text.rstrip()[-_LINE_CHARS:].rpartition("\n")[2]
    alone = _ALONE.fullmatch(line.strip(_MARKUP))
    found = [alone] if alone else list(_NAMED.finditer(line))
    if len(found) != 1 or found[0] is None or not (alone or _ends(line, found[0])):
        return None
    number, scale = float(found[0]["number"]), found[0]["most"]
    return number if least <= number <= most and (scale is None or float(scale) == most) else None


def _ends(line: str, found: re.Match[str]) -> bool:
    """Whether the number is complete there: a percent sign, a range or a further digit would make it another number."""
    return _GOES_ON.match(line, found.end()) is None
