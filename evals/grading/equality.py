"""Whether two answers mean the same, and which of many do.

Grading asks ``compare``: may this answer be called right? It may be generous, as far as its ``Leniency`` says. Voting
asks ``partition``: an equivalence relation, the same in every order, whose classes of a subset are those of the whole.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from widthwise.core.errors import UsageError
from widthwise.evals.grading import comparison
from widthwise.evals.grading.normalisation import normalise

Outcome = Literal["same", "different", "not decided"]
"""``not decided``: no check came to an end. It counts as no agreement, and is counted and shown."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a comparison, and the rule that decided."""

    outcome: Outcome
    rule: str


@dataclass(frozen=True, slots=True)
class Leniency:
    """What grading forgives beyond equality.

    ``percent``: 60 stands for 60 %. ``digits``: a decimal of at least so many significant digits stands for the number
    that it rounds correctly (0: never). ``units``: a unit may be left out on one side. ``labels``: so may names.
    ``any_order``: tuples may be permuted. ``absolute`` and ``relative``: error that a number may have.
    """

    percent: bool = True
    digits: int = 4
    units: bool = True
    labels: bool = True
    any_order: bool = False
    absolute: float = 0.0
    relative: float = 0.0

    def __post_init__(self) -> None:
        for name in ("absolute", "relative"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"a tolerance is a finite number of at least 0, so {name} cannot be {value}")


EXACT = Leniency(percent=False, digits=0, units=False, labels=False)


@dataclass(frozen=True, slots=True)
class Form:
    """The canonical form of an answer; ``whole`` says that all of it was understood (else it is only its spelling)."""

    text: str
    whole: bool


@dataclass(frozen=True, slots=True)
class Partition:
    """Positions of answers grouped by meaning, classes by first appearance; pairs that could not be decided."""

    classes: list[list[int]]
    undecided: list[tuple[int, int]]


def canonical(answer: str) -> Form:
    """The canonical form of one answer."""
    return Form(normalise(answer), True)


def compare(gold: str, prediction: str, leniency: Leniency | None = None) -> Verdict:
    """Whether ``prediction`` may be called the answer ``gold``. Bounded in time whatever the strings."""
    return _verdict(comparison.decide(comparison.compare(gold, prediction)))


async def compare_async(gold: str, prediction: str, leniency: Leniency | None = None) -> Verdict:
    """As ``compare``, without blocking the event loop."""
    return await asyncio.to_thread(compare, gold, prediction, leniency)


def partition(answers: Sequence[str]) -> Partition:
    """The answers grouped by meaning."""
    classes: dict[str, list[int]] = {}
    for position, answer in enumerate(answers):
        classes.setdefault(canonical(answer).text, []).append(position)
    return Partition(list(classes.values()), [])


async def partition_async(answers: Sequence[str]) -> Partition:
    """As ``partition``, without blocking the event loop."""
    return await asyncio.to_thread(partition, answers)


def _verdict(same: bool) -> Verdict:
    return Verdict("same" if same else "different", "comparison")
