"""The first answer that passes a check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from widthwise.core.answer import Answer, AnswerClass
from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.part import Part
from widthwise.core.trace.trace import Trace


@register("aggregator")
@dataclass(frozen=True)
class FirstValid(Part):
    """The first trace whose answer passes every check possible without the reference.

    For countdown that is an exact verifier (right numbers, right value); for a mathematical answer it only means
    that it parses.
    """

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        for trace in traces:
            if await session.valid(trace):
                answer = session.answer(trace) or ""
                return Answer(answer, trace, (AnswerClass(answer, (trace,), 1.0),))
        return Answer(None)
