"""Answers: what traces state, how they group, and what a strategy settles on."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import merge
from typing import Literal

from widthwise.core.problem import Grader
from widthwise.core.trace.trace import Trace

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
    classes. None belongs to no class. Only distinct forms are compared, and only those of one bucket or of none,
    whatever the number of answers.
    """
    places: dict[str, list[int]] = {}
    for position, answer in enumerate(answers):
        if answer is not None:
            places.setdefault(answer, []).append(position)
    # Equal spellings stand together now; the classes are still found in order of first appearance.
    class_of: dict[str, int] = {}
    classes = _Classes(grader)
    groups: list[list[int]] = []
    for answer, positions in places.items():
        form = grader.form(answer)
        if form not in class_of:
            class_of[form] = await classes.place(answer)
        if class_of[form] == len(groups):
            groups.append([])
        groups[class_of[form]] += positions
    return [sorted(members) for members in groups]


class _Classes:
    """The classes found so far, by their representatives; those of each bucket stand together."""

    def __init__(self, grader: Grader) -> None:
        self._grader = grader
        self._representatives: list[str] = []
        self._buckets: dict[str | None, list[int]] = {None: []}
        self._compared = 0

    async def place(self, answer: str) -> int:
        """The number of the first class that ``answer`` belongs to, a new one if there is none."""
        bucket = self._grader.bucket(answer)
        for index in self._rivals(bucket):
            self._compared += 1
            if self._compared % _COMPARISONS_BETWEEN_PAUSES == 0:
                await asyncio.sleep(0)  # other tasks shall not wait for a long row of quick comparisons
            if await self._grader.equivalent(self._representatives[index], answer):
                return index
        self._representatives.append(answer)
        self._buckets.setdefault(bucket, []).append(len(self._representatives) - 1)
        return len(self._representatives) - 1

    def _rivals(self, bucket: str | None) -> Iterable[int]:
        """The classes that an answer of ``bucket`` may belong to, in order."""
        if bucket is None:
            return range(len(self._representatives))
        return merge(self._buckets.get(bucket, ()), self._buckets[None])


Tie = Literal["first", "random", "shortest"]
"""Who wins among equals: the class reached first in order of the traces, a seeded draw, or the class with the
shortest trace (its thinking, where it has one)."""


def _tokens(trace: Trace) -> int:
    return trace.tokens


def elect(
    classes: Sequence[AnswerClass], tie: Tie = "first", seed: int = 0, length: Callable[[Trace], int] = _tokens
) -> Answer:
    """The heaviest class; ties are broken as ``tie`` says, by ``length`` for the shortest, and reported.

    No class, no answer.
    """
    if not classes:
        return Answer(None)
    ranked = tuple(sorted(classes, key=lambda c: -c.weight))
    # Weights are sums of floats: what differs by rounding only is a tie.
    best = [c for c in ranked if math.isclose(c.weight, ranked[0].weight, rel_tol=1e-9, abs_tol=1e-12)]
    winner = best[0]
    if tie == "random":
        winner = random.Random(seed).choice(best)
    elif tie == "shortest":
        winner = min(best, key=lambda c: min(map(length, c.traces)))
    return Answer(winner.answer, winner.traces[0], ranked, tied=len(best) > 1)
