"""How far an answer is to be trusted: what decides whether another model is asked."""

from __future__ import annotations

from collections.abc import Sequence

from widthwise.core.answer import Answer
from widthwise.core.scores.trace_score import check_score, trace_scores
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.session import Session
from widthwise.core.trace.trace import Trace

AGREEMENT = "agreement"
"""The share of all traces that state the answer; one that states none disagrees."""


def agreement(answer: Answer, traces: Sequence[Trace]) -> float:
    """The share of ``traces`` that state ``answer``; without a vote, 1 for an answer and 0 for none."""
    if answer.text is None:
        return 0.0
    if not answer.classes or not traces:
        return 1.0
    return sum(len(each.traces) for each in answer.classes if each.answer == answer.text) / len(traces)


async def trust(session: Session, answer: Answer, traces: Sequence[Trace], by: str) -> float | None:
    """The agreement of ``traces``, or the score ``by`` of the trace that stands for the answer; None if it has none."""
    if by == AGREEMENT:
        return agreement(answer, traces)
    if answer.trace is None:
        return None
    [score] = await trace_scores(session, [answer.trace], by)
    return score


def check_trust(by: str, conditions: Conditions, what: object) -> None:
    """Raises ``UsageError`` if the answers of a run will not have what ``trust`` reads."""
    if by != AGREEMENT:
        check_score(by, conditions, what)
