"""Answers: what traces state, how equivalent ones are grouped, and which one a strategy returns."""

from __future__ import annotations

import logging
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from widthwise.core.arguments import one_of
from widthwise.core.brief import Brief, brief, counted
from widthwise.core.errors import UsageError
from widthwise.core.problem import Grader, Partition
from widthwise.core.tabular import Tabular
from widthwise.core.trace.trace import Trace

_LOGGED_PAIRS = 10
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AnswerClass(Brief):
    """Traces that state equivalent answers; ``answer`` is their most frequent spelling."""

    answer: str
    traces: tuple[Trace, ...]
    weight: float = 0.0

    def __repr__(self) -> str:
        return f"AnswerClass({brief(self.answer)}, {counted(len(self.traces), 'trace')}, weight {self.weight:g})"


@dataclass(frozen=True, slots=True)
class Answer(Tabular):
    """What a strategy returns.

    ``text`` is None where no trace states an answer. ``trace`` is one of the winners' traces. ``classes`` are all
    candidates, heaviest first; ``tied`` says that the winner was drawn from several equally heavy classes.
    """

    text: str | None
    trace: Trace | None = None
    classes: tuple[AnswerClass, ...] = ()
    tied: bool = False

    def table(self) -> dict[str, list[Any]]:
        """One row a candidate: its answer, how many traces state it, and the weight of their votes."""
        return {
            "answer": [each.answer for each in self.classes],
            "traces": [len(each.traces) for each in self.classes],
            "weight": [each.weight for each in self.classes],
        }

    def __repr__(self) -> str:
        said = [brief(self.text)]
        if self.classes:
            said.append(counted(len(self.classes), "class", "classes"))
        return f"Answer({', '.join([*said, *['tied'] * self.tied])})"


async def group(grader: Grader, answers: Sequence[str | None]) -> list[list[int]]:
    """The positions of ``answers`` grouped by meaning: classes in order of first appearance, positions ascending.

    None belongs to no class. Each spelling is read once, however often it occurs.
    """
    places: dict[str, list[int]] = {}
    for position, answer in enumerate(answers):
        if answer is not None:
            places.setdefault(answer, []).append(position)
    spellings = list(places)
    partition = await grader.partition(spellings)
    _log_undecided(partition, spellings)
    return [sorted(position for n in members for position in places[spellings[n]]) for members in partition.classes]


def _log_undecided(partition: Partition, spellings: Sequence[str]) -> None:
    for a, b in partition.undecided[:_LOGGED_PAIRS]:
        one, other = (spellings[partition.classes[n][0]] for n in (a, b))
        _log.warning("could not decide whether %.80r and %.80r are the same answer: they vote separately", one, other)
    if len(partition.undecided) > _LOGGED_PAIRS:
        _log.warning("could not decide %d more pairs of answers either", len(partition.undecided) - _LOGGED_PAIRS)


def commonest(answers: Iterable[str]) -> str:
    """The most frequent spelling; among equally frequent ones, the first."""
    return max(Counter(answers).items(), key=lambda counted: counted[1])[0]


TieBreak = Literal["first", "random", "shortest"]
"""Which of several equally heavy classes wins: the one reached first in order of the traces, one drawn with a seed, or
the one with the shortest trace (the shortest thinking, where there is thinking).
"""


def _tokens(trace: Trace) -> int:
    return trace.tokens


def elect(
    classes: Sequence[AnswerClass], tie: TieBreak = "first", seed: int = 0, length: Callable[[Trace], int] = _tokens
) -> Answer:
    """The heaviest class. Ties are broken as ``tie`` says (by ``length`` for "shortest") and reported.

    Without classes there is no answer. Raises ``UsageError`` for another ``tie``.
    """
    one_of(tie, get_args(TieBreak), "tie")
    if not all(isinstance(each, AnswerClass) for each in classes):
        raise UsageError("elect takes classes of answers: ww.elect(await session.classes(traces))")
    if not classes:
        return Answer(None)
    heaviest = max(c.weight for c in classes)
    # Weights are sums of floats: weights that differ only by rounding are a tie, in the order of ``classes``.
    best = [c for c in classes if math.isclose(c.weight, heaviest, rel_tol=1e-9, abs_tol=1e-12)]
    ranked = (*best, *sorted((c for c in classes if c not in best), key=lambda c: -c.weight))
    winner = best[0]
    if tie == "random":
        winner = random.Random(seed).choice(best)
    elif tie == "shortest":
        winner = min(best, key=lambda c: min(map(length, c.traces)))
    return Answer(winner.answer, winner.traces[0], ranked, tied=len(best) > 1)
