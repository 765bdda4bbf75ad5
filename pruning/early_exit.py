"""Early exit: a trace whose answer would no longer change states it at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from widthwise.core.pruner import Decision
from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.part import Part
from widthwise.core.trace.trace import Trace, TraceId
from widthwise.pruning.stopping_rule import labelled


@register("pruner")
@dataclass(frozen=True)
class EarlyExit(Part):
    """Has a trace answer as soon as it would give the same answer ``stable`` times in a row (arXiv 2412.20993).

    Fu et al., "Efficiently Scaling LLM Reasoning with Certaindex" (Dynasor). Every ``every`` tokens a trace is probed:
    on a copy of it, its thinking is closed and it is asked for its answer, greedily and in at most ``max_tokens``; the
    trace itself is not affected. When the last ``stable`` probes state the same answer, the trace's thinking is closed
    for good and it states its answer, sampled with the trace's own parameters. A trace that has closed its thinking
    itself is left alone. For a model that does not think separately from its answer, the whole trace is probed.

    Differences from the release: answers agree by meaning, not by their spelling; words of doubt in a probe do not
    count.
    """

    every: int = 64
    stable: int = 3
    max_tokens: int = 20

    continues: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if min(self.every, self.stable, self.max_tokens) < 1:
            raise ValueError("every, stable and max_tokens must be at least 1")

    def begin(self) -> _Probing:
        """The pruner of one draw."""
        return _Probing(self)

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        return await self.begin()(session, live, finished, total)


@dataclass
class _Probing:
    """One draw's probes of each trace, the latest last."""

    settings: EarlyExit
    probes: dict[TraceId, list[Trace]] = field(default_factory=dict)

    @property
    def every(self) -> int:
        return self.settings.every

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        due = [trace for trace in live if self._is_due(session, trace)]
        asked = {session.conclude(trace): trace for trace in due}
        limit = self.settings.max_tokens
        for reply in await session.sample(list(asked), judging=True, max_tokens=limit, temperature=0.0):
            if reply.stem is not None:
                self.probes.setdefault(asked[reply.stem].head.id, []).append(reply)
        stable = [trace.id for trace in due if await self._is_stable(session, trace)]
        return Decision(conclude=frozenset(stable))

    def _is_due(self, session: Session, trace: Trace) -> bool:
        """Whether the trace has not begun to answer, and has grown by ``every`` tokens since its last probe."""
        probed = len(self.probes.get(trace.head.id, ()))
        return session.thinking_tokens(trace) is None and trace.drawn >= (probed + 1) * self.every

    async def _is_stable(self, session: Session, trace: Trace) -> bool:
        last = self.probes.get(trace.head.id, [])[-self.settings.stable :]
        labels = await labelled(session, last)
        return len(last) == self.settings.stable and None not in labels and len(set(labels)) == 1
