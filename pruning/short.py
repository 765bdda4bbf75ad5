"""short-m@k: the first traces to finish decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from widthwise.core.pruner import GO_ON, Decision
from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.part import Part
from widthwise.core.trace.trace import Trace


@register("pruner")
@dataclass(frozen=True)
class Short(Part):
    """Only the ``m`` shortest traces of a draw are finished, and vote (Hassid et al., arXiv 2505.17813).

    A trace is stopped once it is longer than the ``m``-th shortest that came to its own end (one that was cut at a
    limit did not). What counts is tokens, not time: an engine that serves its requests unevenly, and a narrow draw,
    whose traces follow one another, have the same voters. ``majority_vote(tie="shortest")`` breaks ties as the
    paper does. ``every`` is how many tokens lie between two looks.
    """

    m: int = 3
    every: int = 16

    def __post_init__(self) -> None:
        if self.m < 1 or self.every < 1:
            raise ValueError(f"m and every must be at least 1, not {self.m} and {self.every}")

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        done = sorted((t for t in finished if t.finish == "stop"), key=lambda t: (t.tokens, t.id))
        if len(done) < self.m:
            return GO_ON
        bound = done[self.m - 1].tokens
        voters = {t.id for t in done[: self.m]}
        return Decision(
            stop=frozenset(t.id for t in live if t.tokens >= bound),
            reason=f"longer than the {self.m} shortest, of up to {bound} tokens",
            votes={t.id: float(t.id in voters) for t in finished},
        )
