"""Majority vote over equivalent answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from widthwise.core.answer import Answer, TieBreak, elect
from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.part import Part
from widthwise.core.trace.trace import Trace


@register("aggregator")
@dataclass(frozen=True)
class MajorityVote(Part):
    """The answer that most traces agree on (self-consistency: Wang et al., arXiv 2203.11171).

    Votes are counted over classes of equivalent answers; a trace without a parsed answer does not vote. ``tie``:
    "first" (the class reached first), "random" (seeded), "shortest" (the class with the shortest trace).
    """

    tie: TieBreak = "first"

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        return elect(await session.classes(traces), self.tie, session.seed("tie"), session.thought_length)
