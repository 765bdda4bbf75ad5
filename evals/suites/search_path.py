"""The clean path at the end of a Stream-of-Search trace (Gandhi et al., arXiv 2404.03683), read as one expression."""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction

_GOAL = "Goal Reached"
_LONGEST = 20_000
_STATE = re.compile(r"Current State: (\d{1,9}):\[([\d, ]{1,200})\], Operations: \[\]")
_STEP = re.compile(r"Exploring Operation: (\d{1,9})([-+*/])(\d{1,9})=(\d{1,9}), Resulting Numbers: \[([\d, ]{0,200})\]")


def expression_of_path(text: str) -> str | None:
    """The expression that the path between the last two goals of ``text`` computes.

    None if there are no two goals, or if the path is invalid: each operation must be exact, take numbers that are there
    and leave those that it says, and the last must leave only the target.
    """
    last = text.rfind(_GOAL)
    before = text.rfind(_GOAL, 0, last) if last >= 0 else -1
    path = text[before + len(_GOAL) : last]
    state = _STATE.search(path) if before >= 0 and len(path) <= _LONGEST else None
    if state is None:
        return None
    written = {number: [str(number)] * count for number, count in Counter(_numbers(state[2])).items()}
    result = None
    for step in _STEP.finditer(path, state.end()):
        result = _applied(written, step)
        if result is None:
            return None
    return written[result][0][1:-1] if result == int(state[1]) and sum(map(len, written.values())) == 1 else None


def _applied(written: dict[int, list[str]], step: re.Match[str]) -> int | None:
    """The number that ``step`` makes of two in ``written`` (how each number was made), which changes; None if wrong."""
    left, op, right, result = int(step[1]), step[2], int(step[3]), int(step[4])
    value = {"+": left + right, "-": left - right, "*": left * right, "/": Fraction(left, right) if right else None}[op]
    if value != result or not written.get(left):
        return None
    one = written[left].pop()
    if not written.get(right):
        return None
    written.setdefault(result, []).append(f"({one} {op} {written[right].pop()})")
    there = Counter({number: len(ways) for number, ways in written.items() if ways})
    return result if there == Counter(_numbers(step[5])) else None


def _numbers(listed: str) -> list[int]:
    return [int(number) for number in listed.split(",") if number.strip()]
