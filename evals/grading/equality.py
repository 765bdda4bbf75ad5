"""Whether two answers mean the same, and which of many do.

Grading asks ``compare``: may this answer be called right? It may be generous, as far as its ``Leniency`` says. Voting
asks ``partition``: an equivalence relation, the same in every order, whose classes of a subset are those of the whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from widthwise.evals.grading.leniency import Leniency, forgiven
from widthwise.evals.grading.meaning import Key, meaning, shown

Outcome = Literal["same", "different", "not decided"]
"""``not decided``: no check came to an end. It counts as no agreement, and is counted and shown."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a comparison, and the rule that decided."""

    outcome: Outcome
    rule: str


EXACT = Leniency(percent=False, digits=0, units=False, labels=False)


@dataclass(frozen=True, slots=True)
class Form:
    """The canonical form of an answer; ``whole`` says that all of it was understood (else it is only its spelling)."""

    text: str
    whole: bool


@dataclass(frozen=True, slots=True)
class Partition:
    """Positions of answers grouped by meaning, classes by first appearance.

    ``open`` are the numbers of classes whose value could not be computed: whether they are others is not decided.
    """

    classes: list[list[int]]
    open: list[int]

    @property
    def undecided(self) -> list[tuple[int, int]]:
        """The pairs of classes that may be one."""
        return [(a, b) for a in self.open for b in range(len(self.classes)) if b > a or (b < a and b not in self.open)]


def canonical(answer: str) -> Form:
    """The canonical form of one answer."""
    return Form(shown(answer), meaning(answer).node is not None)


def compare(gold: str, prediction: str, leniency: Leniency | None = None) -> Verdict:
    """Whether ``prediction`` may be called the answer ``gold``. Bounded in time whatever the strings."""
    a, b = meaning(gold), meaning(prediction)
    if a.key == b.key:
        return Verdict("same", "canonical form" if a.node is not None else "spelling")
    if a.node is None or b.node is None:
        return Verdict("different", f"not understood whole: {a.why or b.why}")
    if rule := forgiven(a.node, b.node, leniency or Leniency()):
        return Verdict("same", rule)
    if a.open or b.open:
        return Verdict("not decided", "a value that could not be computed")
    return Verdict("different", "canonical form")


async def compare_async(gold: str, prediction: str, leniency: Leniency | None = None) -> Verdict:
    """As ``compare``, without blocking the event loop."""
    return await asyncio.to_thread(compare, gold, prediction, leniency)


def partition(answers: Sequence[str]) -> Partition:
    """The answers grouped by meaning."""
    classes: dict[Key, list[int]] = {}
    for position, answer in enumerate(answers):
        classes.setdefault(meaning(answer).key, []).append(position)
    found = list(classes.values())
    return Partition(found, [n for n, members in enumerate(found) if meaning(answers[members[0]]).open])


async def partition_async(answers: Sequence[str]) -> Partition:
    """As ``partition``, without blocking the event loop."""
    return await asyncio.to_thread(partition, answers)
