"""Answers: what traces state, how they group, and what a strategy settles on."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from widthwise.core.problem import Grader
from widthwise.core.trace import Trace

_COMPARISONS_BETWEEN_PAUSES = 500


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
    """The positions of ``answers`` grouped by meaning: classes by first appearance, positions ascending.

    An answer joins the first class whose representative (its first member) it is equivalent to. Equivalence need
    not be transitive, so the grouping may depend on the order of the answers; the same order gives the same
    classes. None belongs to no class. Only distinct forms are compared, whatever the number of answers.
    """
    class_of: dict[str, int] = {}
    representatives: list[str] = []
    groups: list[list[int]] = []
    for position, answer in enumerate(answers):
        if answer is None:
            continue
        form = grader.form(answer)
        if form not in class_of:
            class_of[form] = await _first_match(grader, representatives, answer)
            if class_of[form] == len(groups):
                representatives.append(answer)
                groups.append([])
        groups[class_of[form]].append(position)
    return groups


async def _first_match(grader: Grader, representatives: Sequence[str], answer: str) -> int:
    """The index of the first representative that ``answer`` is equivalent to; their number where there is none."""
    for index, representative in enumerate(representatives):
        if index % _COMPARISONS_BETWEEN_PAUSES == _COMPARISONS_BETWEEN_PAUSES - 1:
            await asyncio.sleep(0)  # other tasks shall not wait for a long row of quick comparisons
        if await grader.equivalent(representative, answer):
            return index
    return len(representatives)


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
