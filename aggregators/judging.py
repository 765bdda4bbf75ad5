"""What the judging aggregators share: candidates, questions about them, and what the replies say.

A judge is asked about classes of equivalent answers, by the first trace of each. A failed request, a reply that names
no verdict and a budget that is used up are abstentions: they are recorded, and the strategy goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from widthwise.core.errors import BudgetReached
from widthwise.core.prompting import verification
from widthwise.core.session.session import Session
from widthwise.core.strategy.answer import AnswerClass
from widthwise.core.trace.trace import Trace

NEUTRAL = 0.5
"""The score of a candidate that no judge has said anything of: unjudged is not wrong."""


@dataclass(frozen=True, slots=True)
class Match:
    """Comparisons of two candidates: how many each has won, and the replies that said so."""

    wins: tuple[int, int]
    replies: tuple[Trace, ...]


async def candidates(session: Session, traces: Sequence[Trace]) -> list[AnswerClass]:
    """The classes of equivalent answers, those with most votes first."""
    return sorted(await session.classes(traces), key=lambda c: -c.weight)


async def replies(session: Session, asked: Sequence[Trace], n: int, **params: Any) -> list[list[Trace]]:
    """``n`` replies to each question, all drawn at once; fewer where the budget ends before."""
    try:
        drawn = await session.sample(
            asked, n, judging=True, logprobs=min(verification.LOGPROBS, session.max_logprobs), **params
        )
    except BudgetReached:
        drawn = []
    return [[reply for reply in drawn if reply.parent is question] for question in asked]


async def verified(
    session: Session, classes: Sequence[AnswerClass], k: int, after: Sequence[Trace]
) -> list[tuple[float, list[Trace]]]:
    """For each candidate the mean P(right) of ``k`` verifications, and their replies; abstentions do not count."""
    try:
        verdicts = await verification.verified(
            session, [_solution(session, c) for c in classes], [after] * len(classes), k
        )
    except BudgetReached:
        verdicts = [[] for _ in classes]
    found = []
    for each in verdicts:
        known = [v for v, _ in each if v is not None]
        found.append((sum(known) / len(known) if known else NEUTRAL, [reply for _, reply in each]))
    return found


async def compared(
    session: Session, pairs: Sequence[tuple[AnswerClass, AnswerClass]], k: int, after: Sequence[Trace]
) -> list[Match]:
    """``k`` comparisons of each pair, half of them in either order, so that a liking for a place cancels out."""
    ordered = [order for a, b in pairs for order in ((a, b), (b, a))]
    asked = [
        session.ask("compare", first=_solution(session, a), second=_solution(session, b), after=after)
        for a, b in ordered
    ]
    answered = [[_chosen(session, r) for r in each] for each in await replies(session, asked, k // 2)]
    matches = []
    for there, back in zip(answered[::2], answered[1::2], strict=True):
        chosen = [place for place, _ in there] + [None if place is None else 3 - place for place, _ in back]
        matches.append(Match((chosen.count(1), chosen.count(2)), tuple(reply for _, reply in there + back)))
    return matches


def check_comparisons(k: int) -> None:
    """Raises ``ValueError`` where ``k`` comparisons cannot show each order equally often."""
    if k < 2 or k % 2:
        raise ValueError(f"k must be even, so that either order is compared equally often, not {k}")


def _solution(session: Session, candidate: AnswerClass) -> str:
    return session.solution(candidate.traces[0])


def _chosen(session: Session, reply: Trace) -> tuple[int | None, Trace]:
    choice = session.choice(reply, 2)
    return choice, session.annotate(reply, choice=choice)
