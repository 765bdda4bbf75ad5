"""Which of several answers is refined next, when a model's own grades are all that is known of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

WORST = -100.0
"""The lowest grade."""
TOO_GOOD, INSTEAD = 95.0, 50.0
"""A grade from here on is taken for flattery, and what it counts instead."""


@dataclass(eq=False)
class Attempt:
    """An answer in a search: ``content`` is the caller's own, ``rewards`` are its grades so far.

    ``visits`` counts the times it was to be graded, whether a grade could be read or not.
    """

    content: Any = None
    parent: Attempt | None = None
    rewards: list[float] = field(default_factory=list)
    visits: int = 0
    children: list[Attempt] = field(default_factory=list)

    @property
    def own(self) -> float:
        """The mean of its worst and its average grade; ungraded, it is worth the least."""
        if not self.rewards:
            return WORST
        return (min(self.rewards) + sum(self.rewards) / len(self.rewards)) / 2

    def graded(self, grade: float | None) -> None:
        """It was to be graded, and got this grade, from -100 to 100."""
        self.visits += 1
        if grade is not None:
            self.rewards.append(INSTEAD if grade >= TOO_GOOD else grade)

    def refined(self, content: Any) -> Attempt:
        """A new child."""
        child = Attempt(content, self)
        self.children.append(child)
        return child


def qualities(attempts: Sequence[Attempt]) -> Mapping[Attempt, float]:
    """Q of each answer: its own, or the mean of that and the best child's Q. Parents come before their children."""
    found: dict[Attempt, float] = {}
    for attempt in reversed(attempts):
        best = max((found[child] for child in attempt.children), default=attempt.own)
        found[attempt] = (attempt.own + best) / 2
    return found


def chosen(attempts: Sequence[Attempt], children: int, c: float) -> Attempt:
    """The answer to refine: that with the highest bound ``Q + c * sqrt(ln(N_parent + 1) / (N + 1e-5))``.

    ``N`` are visits; of equal bounds, the first is taken. An answer that has all its ``children`` is left out, unless
    it is better than each of them.
    """
    quality = qualities(attempts)

    def bound(attempt: Attempt) -> float:
        above = 0 if attempt.parent is None else attempt.parent.visits
        return quality[attempt] + c * math.sqrt(math.log(above + 1) / (attempt.visits + 1e-5))

    return max(filter(lambda attempt: _has_room(attempt, children), attempts), key=bound)


def _has_room(attempt: Attempt, children: int) -> bool:
    return len(attempt.children) < children or max(child.own for child in attempt.children) < attempt.own
