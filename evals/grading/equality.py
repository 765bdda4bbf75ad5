"""Whether two answers mean the same, and how many answers group by meaning.

Grading asks ``compare``: may this answer be called right? It may be generous, as far as its ``Leniency`` allows. Voting
asks ``partition``: an equivalence relation that is independent of the order, and whose classes on a subset are those of
the whole set.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from widthwise.core.problem import Partition
from widthwise.evals.grading.leniency import Leniency, forgiven
from widthwise.evals.grading.meaning import apart, meaning, shown

Outcome = Literal["same", "different", "not decided"]
"""``not decided``: a value could not be computed within the limits. It does not count as agreement, and is shown."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a comparison, and the rule that decided."""

    outcome: Outcome
    rule: str


_COMMA, _POINT = re.compile(r"-?\d+,(?:\d{1,2}|\d{4,})"), re.compile(r"-?\d+\.\d+")


@dataclass(frozen=True, slots=True)
class Form:
    """The canonical form of an answer; ``whole`` says that all of it was understood (else it is only its spelling)."""

    text: str
    whole: bool


def canonical(answer: str) -> Form:
    """The canonical form of one answer."""
    return Form(shown(answer), meaning(answer).node is not None)


def compare(gold: str, prediction: str, leniency: Leniency | None = None) -> Verdict:
    """Whether ``prediction`` may be called the answer ``gold``. Bounded in time whatever the strings."""
    a, b = meaning(gold), meaning(prediction)
    if a.key == b.key:
        return Verdict("same", "canonical form" if a.node is not None else "spelling")
    if a.node is None or b.node is None:
        return Verdict("different", f"not fully understood: {a.why or b.why}")
    if rule := forgiven(a.node, b.node, leniency or Leniency()) or _decimal_comma(gold, prediction):
        return Verdict("same", rule)
    if (a.open or b.open) and not apart(a.key, b.key):
        return Verdict("not decided", "a value that could not be computed")
    return Verdict("different", "canonical form")


def _decimal_comma(gold: str, prediction: str) -> str | None:
    """``1,22`` for 1.22: a list of two whole numbers without a blank, compared with a decimal."""
    for listed, decimal in ((gold, prediction), (prediction, gold)):
        if _COMMA.fullmatch(listed.strip()) and _POINT.fullmatch(decimal.strip()):
            return "decimal comma" if listed.strip().replace(",", ".") == decimal.strip() else None
    return None


def partition(answers: Sequence[str]) -> Partition:
    """The answers grouped by meaning."""
    meanings = [meaning(answer) for answer in answers]
    found = Partition.of(m.key for m in meanings)
    return Partition(found.classes, [n for n, members in enumerate(found.classes) if meanings[members[0]].open])


async def partition_async(answers: Sequence[str]) -> Partition:
    """Like ``partition``, without blocking the event loop."""
    return await asyncio.to_thread(partition, answers)
