"""Early exit: a trace whose answer would no longer change states it at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from widthwise.core.pruner import Decision
from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.part import Part
from widthwise.core.trace.trace import Trace
from widthwise.pruning.probes import Probes
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

    Differences from the release: it draws its probes at temperature 0.6 and top_p 0.95, not greedily; answers agree by
    meaning, not by their spelling; words of doubt in a probe do not count.
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


class _Probing:
    """One draw's traces and their probes."""

    def __init__(self, settings: EarlyExit) -> None:
        self.every = settings.every
        self._stable = settings.stable
        self._probes = Probes(settings.every, settings.max_tokens)

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        due = await self._probes.ask(session, live)
        stable = [trace.id for trace in due if await settled(session, self._probes.of(trace), self._stable)]
        return Decision(conclude=frozenset(stable))


async def settled(session: Session, probes: Sequence[Trace], stable: int) -> bool:
    """Whether the last ``stable`` probes state the same answer."""
    labels = await labelled(session, probes[-stable:])
    return len(labels) == stable and None not in labels and len(set(labels)) == 1
