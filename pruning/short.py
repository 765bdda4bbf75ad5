"""short-m@k: the first traces to finish thinking decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from widthwise.core.pruner import GO_ON, Decision
from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.part import Part
from widthwise.core.trace.trace import Trace, TraceId


@register("pruner")
@dataclass(frozen=True)
class Short(Part):
    """Finishes only the ``m`` traces of a draw with the shortest thinking; only they vote (arXiv 2505.17813).

    Hassid et al. The length of a trace is that of its thinking, or of all its tokens if no thinking is closed. A trace
    whose thinking is longer than that of the ``m`` shortest so far is stopped, whether it is still thinking or already
    writing its answer; these ``m`` write their answers to the end. Traces that were cut at a limit, or that ended
    inside their thinking, never count. ``majority_vote(tie="shortest")`` breaks ties as the paper does, by thinking.

    Difference from the paper, which measures time: what counts here is tokens, so an engine that serves its requests
    unevenly, and a narrow draw, whose traces follow one another, have the same voters. For a model that does not think
    separately from its answer, it is the vote of the shortest solutions, about which the paper claims nothing.
    ``every`` is how many tokens lie between two checks.
    """

    m: int = 3
    every: int = 16

    def __post_init__(self) -> None:
        if self.m < 1 or self.every < 1:
            raise ValueError(f"m and every must be at least 1, not {self.m} and {self.every}")

    def begin(self) -> _Shortest:
        """The pruner of one draw."""
        return _Shortest(self)

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        return await self.begin()(session, live, finished, total)


class _Shortest:
    """One draw's lengths that are known so far."""

    def __init__(self, settings: Short) -> None:
        self.every = settings.every
        self._m = settings.m
        self._known: dict[TraceId, int] = {}

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        whole = [t for t in (*live, *finished) if t.finish in (None, "stop")]
        lengths = {t.id: length for t in whole if (length := self._length(session, t)) is not None}
        shortest = sorted(lengths, key=lambda i: (lengths[i], i))[: self._m]
        if len(shortest) < self._m:
            return GO_ON
        bound = lengths[shortest[-1]]
        longer = [t.id for t in live if t.id not in shortest and t.tokens >= bound]
        return Decision(
            stop=frozenset(longer),
            reason=f"thinks longer than the {self._m} shortest, of up to {bound} tokens",
            votes={t.id: float(t.id in shortest) for t in finished},
        )

    def _length(self, session: Session, trace: Trace) -> int | None:
        """Tokens of the trace's thinking; None while it may still grow."""
        if trace.id not in self._known:
            thinking = session.thinking_tokens(trace)
            if thinking is None:
                return trace.tokens if trace.finish == "stop" and not session.is_thinking(trace) else None
            self._known[trace.id] = thinking
        return self._known[trace.id]
