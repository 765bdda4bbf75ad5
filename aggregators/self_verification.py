"""Sampling-based search: verify every candidate, and compare those that come out close."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from widthwise.aggregators.judging import candidates, check_comparisons, compared, verified
from widthwise.core.session.session import Session
from widthwise.core.strategy.answer import Answer, AnswerClass, Tie, elect
from widthwise.core.strategy.part import Part
from widthwise.core.trace.trace import Trace

_CLOSEST = 3


@dataclass(frozen=True)
class SelfVerification(Part):
    """The candidate with the best verifications, near ties decided by comparisons (Zhao et al., arXiv 2502.01839).

    Each class of equivalent answers is verified ``k`` times. The best three at most that are within ``band`` of the
    highest score are compared in pairs, ``comparisons`` times each, half of them in either order; most pairs won
    wins, then the higher score. The paper's own figures: k=50, comparisons=100.
    """

    k: int = 8
    comparisons: int = 8
    band: float = 0.05
    tie: Tie = "first"

    def __post_init__(self) -> None:
        check_comparisons(self.comparisons)
        if self.k < 1 or self.band < 0:
            raise ValueError(f"k must be at least 1 and band at least 0, not {self.k} and {self.band}")

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        classes = await candidates(session, traces)
        if len(classes) < 2:
            return elect(classes)
        scored = await verified(session, classes, self.k, after=traces)
        ranked = sorted(
            (replace(c, weight=score) for c, (score, _) in zip(classes, scored, strict=True)), key=lambda c: -c.weight
        )
        close = [c for c in ranked[:_CLOSEST] if c.weight >= ranked[0].weight - self.band]
        won = await self._won(session, close, [*traces, *(reply for _, said in scored for reply in said)])
        # A pair won outweighs every score, which is a probability.
        wins = won + [0.0] * (len(ranked) - len(close))
        return elect(
            [replace(c, weight=c.weight + 2 * w) for c, w in zip(ranked, wins, strict=True)],
            self.tie,
            session.seed("tie"),
        )

    async def _won(self, session: Session, close: Sequence[AnswerClass], after: Sequence[Trace]) -> list[float]:
        """How many pairs each of the ``close`` has won; a drawn pair is half won by both."""
        pairs = [(i, j) for i in range(len(close)) for j in range(i + 1, len(close))]
        matches = await compared(session, [(close[i], close[j]) for i, j in pairs], self.comparisons, after)
        won = [0.0] * len(close)
        for (i, j), match in zip(pairs, matches, strict=True):
            share = 0.5 if match.wins[0] == match.wins[1] else float(match.wins[0] > match.wins[1])
            won[i] += share
            won[j] += 1 - share
        return won
