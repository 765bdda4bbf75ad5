"""Answers: what traces state, how they group, and what a strategy settles on."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from widthwise.core.problem import Grader
from widthwise.core.trace import Trace


@dataclass(frozen=True, slots=True)
class AnswerClass:
    """Traces that state equivalent answers; ``answer`` is the first one's spelling."""

    answer: str
    traces: tuple[Trace, ...]
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a strategy settles on.

    ``text`` is None where no trace states an answer. ``trace`` represents the winners. ``classes`` are all
    candidates, heaviest first; ``tied`` says that the winner was drawn among equals.
    """

    text: str | None
    trace: Trace | None = None
    classes: tuple[AnswerClass, ...] = ()
    tied: bool = False


async def group(grader: Grader, answers: Sequence[str | None]) -> list[list[int]]:
    """Equivalence classes as lists of positions, in order of first appearance.

    Each answer is compared with one representative per class and joins the first that matches; equal
    spellings are compared once. None belongs to no class. With d distinct spellings and c classes this makes
    at most d * c comparisons, whatever the number of answers.
    """
    by_spelling: dict[str, list[int]] = {}
    for i, answer in enumerate(answers):
        if answer is not None:
            by_spelling.setdefault(answer, []).append(i)
    classes: list[tuple[str, list[int]]] = []
    for spelling, members in by_spelling.items():
        for representative, known in classes:
            if await grader.equivalent(representative, spelling):
                known.extend(members)
                break
        else:
            classes.append((spelling, list(members)))
    return [sorted(members) for _, members in classes]


Tie = Literal["first", "random", "shortest"]
"""Who wins among equals: the class reached first in order of the traces, a seeded draw, or the class with the
shortest trace."""


def elect(classes: Sequence[AnswerClass], tie: Tie = "first", seed: int = 0) -> Answer:
    """The heaviest class; ties are broken as ``tie`` says and reported. No class, no answer."""
    if not classes:
        return Answer(None)
    ranked = tuple(sorted(classes, key=lambda c: -c.weight))
    # Weights are sums of floats: what differs by rounding only is a tie.
    best = [c for c in ranked if math.isclose(c.weight, ranked[0].weight, rel_tol=1e-9, abs_tol=1e-12)]
    winner = best[0]
    if tie == "random":
        winner = random.Random(seed).choice(best)
    elif tie == "shortest":
        winner = min(best, key=lambda c: min(t.tokens for t in c.traces))
    return Answer(winner.answer, winner.traces[0], ranked, tied=len(best) > 1)
