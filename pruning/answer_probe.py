"""A judge that asks unfinished traces what their answer would be now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.part import Part
from widthwise.core.trace.trace import Trace, TraceId
from widthwise.pruning.stopping_rule import labelled


@register("judge")
@dataclass(frozen=True)
class AnswerProbe(Part):
    """Has every trace state its answer early, greedily and in at most ``max_tokens``; equal answers agree.

    The trace itself grows on without the probe. A finished trace is not probed, since its answer is known. A probe that
    states no answer agrees with none.
    """

    max_tokens: int = 16

    continues: ClassVar[bool] = True

    def begin(self) -> _Probes:
        """The judge of one draw, which probes each trace once."""
        return _Probes(self.max_tokens)

    async def __call__(self, session: Session, trace: Trace, others: Sequence[Trace]) -> list[float | None]:
        return await self.begin()(session, trace, others)


class _Probes:
    """One draw's probes, by the probed trace."""

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._probes: dict[TraceId, Trace | None] = {}

    async def __call__(self, session: Session, trace: Trace, others: Sequence[Trace]) -> list[float | None]:
        traces = [trace, *others]
        await self._probe(session, [t for t in traces if t.head.id not in self._probes])
        probes = [p for t in traces if (p := self._probes[t.head.id]) is not None]
        labels = dict(zip([p.id for p in probes], await labelled(session, probes), strict=True))
        mine, *theirs = [None if (p := self._probes[t.head.id]) is None else labels[p.id] for t in traces]
        return [float(mine is not None and label == mine) for label in theirs]

    async def _probe(self, session: Session, traces: Sequence[Trace]) -> None:
        for trace in traces:
            self._probes[trace.head.id] = trace if trace.finish is not None else None
        asked = {session.conclude(t): t.head.id for t in traces if t.finish is None}
        for reply in await session.sample(list(asked), judging=True, max_tokens=self._max_tokens, temperature=0.0):
            if reply.stem is not None:
                self._probes[asked[reply.stem]] = reply
