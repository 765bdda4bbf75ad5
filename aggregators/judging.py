"""What the judging aggregators share: candidates, questions about them, and reading the replies.

A candidate is shown by its first trace. A failed request, a reply that names no verdict and a used-up budget count as
abstentions: they are recorded and noted, and the strategy goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from widthwise.core.answer import AnswerClass
from widthwise.core.errors import BudgetReached
from widthwise.core.session.session import Session
from widthwise.core.strategy import verification
from widthwise.core.trace.trace import Trace

NEUTRAL = 0.5
"""The score of a candidate about which no judge has said anything: unjudged is not wrong."""


async def candidates(session: Session, traces: Sequence[Trace]) -> list[AnswerClass]:
    """The classes of equivalent answers, those with most votes first."""
    return sorted(await session.classes(traces), key=lambda c: -c.weight)


async def replies(
    session: Session, asked: Sequence[Trace], times: int | Sequence[int] = 1, **params: Any
) -> list[list[Trace]]:
    """So many replies to each question (a number for all, or one for each), all drawn at once.

    There are fewer if the budget ends before.
    """
    counts = [times] * len(asked) if isinstance(times, int) else times
    questions = [question for question, count in zip(asked, counts, strict=True) for _ in range(count)]
    logprobs = min(verification.LOGPROBS, session.max_logprobs)
    try:
        drawn = await session.sample(questions, judging=True, logprobs=logprobs, **params) if questions else []
    except BudgetReached:
        drawn = []
    found: dict[Trace | None, list[Trace]] = {question: [] for question in asked}
    for reply in drawn:
        found[reply.stem].append(reply)
    return [found[question] for question in asked]


async def verified(
    session: Session, classes: Sequence[AnswerClass], k: int, after: Sequence[Trace]
) -> list[tuple[float, list[Trace]]]:
    """For each candidate the mean P(right) of ``k`` verifications, and their replies; abstentions do not count."""
    try:
        verdicts = await verification.verified(session, [shown(session, c) for c in classes], [after] * len(classes), k)
    except BudgetReached:
        verdicts = [[] for _ in classes]
    found = []
    for each in verdicts:
        known = [v for v, _ in each if v is not None]
        found.append((sum(known) / len(known) if known else NEUTRAL, [reply for _, reply in each]))
    return found


def shown(session: Session, candidate: AnswerClass) -> str:
    """What a judge is shown of a candidate."""
    return session.solution(candidate.traces[0])
