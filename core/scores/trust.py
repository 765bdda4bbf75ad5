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
SAMPLES = 4
"""How many samples are asked for where agreement decides and nobody says how many."""


def agreement(answer: Answer, traces: Sequence[Trace], asked: int = 0) -> float:
    """The share of ``traces`` that state ``answer``; without a vote, 1 for an answer and 0 for none.

    If more were ``asked`` for, those that are missing disagree.
    """
    if answer.text is None:
        return 0.0
    if not answer.classes or not traces:
        return 1.0
    stating = sum(len(each.traces) for each in answer.classes if each.answer == answer.text)
    return stating / max(len(traces), asked)


async def trust(session: Session, answer: Answer, traces: Sequence[Trace], by: str, asked: int = 0) -> float | None:
    """The agreement of ``traces``, or the score ``by`` of the trace that stands for the answer; None if it has none.

    A single trace agrees with itself whatever it says, so it has no agreement. Where traces that were ``asked`` for are
    missing, or there is a single one, a note says so.
    """
    if by == AGREEMENT:
        note_few(session, traces, asked)
        return agreement(answer, traces, asked) if max(len(traces), asked) != 1 else None
    if answer.trace is None:
        return None
    [score] = await trace_scores(session, [answer.trace], by)
    return score


def note_few(session: Session, traces: Sequence[Trace], asked: int) -> None:
    """Note that too few traces were drawn for their agreement to say what it should."""
    model = next((trace.model for trace in traces), "") or "the model"
    if len(traces) < asked:
        session.note(session.root, f"{model} drew {len(traces)} of {asked} samples: the others count as disagreeing")
    elif len(traces) == 1:
        session.note(session.root, f"{model} drew a single trace: its agreement with itself is not trusted")


def check_trust(by: str, conditions: Conditions, what: object) -> None:
    """Raises ``UsageError`` if the answers of a run will not have what ``trust`` reads."""
    if by != AGREEMENT:
        check_score(by, conditions, what)
