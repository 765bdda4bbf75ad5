"""A tournament in which everybody meets a few pivots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import ClassVar

import numpy as np

from widthwise.aggregators.contest import Contest, Contestants, Match, check_contest
from widthwise.core.answer import Answer, TieBreak, elect
from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.model_part import ModelPart
from widthwise.core.trace.trace import Trace

Pair = tuple[int, int]


@register("aggregator")
@dataclass(frozen=True)
class PivotTournament(ModelPart):
    """Candidates are compared in a ring, then with the ``pivots`` that did best in it (PPT, arXiv 2607.05391).

    The probabilistic pivot tournament of "LLM-as-a-Verifier". All traces that state an answer are candidates. They are
    put in a ring in random order, and each is compared with the next one: every candidate is shown once as the first
    and once as the second. The ``pivots`` with the best mean preference are then compared with all others and with each
    other. The best mean over all comparisons wins; ``tie`` breaks equal ones. A comparison gives the probability with
    which the judge prefers each of the two, if the log-probabilities of its verdict were recorded, else 1 or 0.

    With N candidates these are ``k (N + p (N - p) + p (p - 1) / 2)`` comparisons for p pivots, in two rounds; p = N - 1
    pivots are the ring and the whole round robin. Differences from the release: the judge is asked which of two is
    better ("compare") and not for a score of each; half of a pair's ``k`` comparisons show it in either order; traces
    without an answer do not take part, and if no comparison names a winner, the plain vote decides. ``skip_equal`` and
    ``entry`` are those of ``knockout``; a pair that is skipped counts for neither: half a win for each would keep the
    means of a frequent answer near a half, as most of its pairs are skipped.
    """

    pivots: int = 2
    k: int = 4
    entry: Contestants = "traces"
    skip_equal: bool = False
    tie: TieBreak = "first"

    questions: ClassVar[tuple[str, ...]] = ("compare",)

    def __post_init__(self) -> None:
        check_contest(self.entry, self.k, "k")
        if self.pivots < 1:
            raise ValueError(f"pivots must be at least 1, not {self.pivots}")

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        contest = await Contest.of(session, traces, self.entry, skip_equal=self.skip_equal)
        if len(contest.classes) < 2:
            return elect(contest.classes)
        table = _Table(len(contest.candidates))
        ring = np.random.default_rng(session.seed("ring")).permutation(table.size).tolist()
        around = list(zip(ring, [*ring[1:], ring[0]], strict=True))
        table.enter(around, await contest.matches(around, self.k, traces))
        met = table.against(table.best(self.pivots))
        after = [*traces, *(reply for match in table.matches for reply in match.replies)]
        table.enter(met, await contest.matches(met, self.k, after))
        return contest.settle(table.means(), table.matches, self.tie)


@dataclass(slots=True)
class _Table:
    """The matches so far of ``size`` candidates."""

    size: int
    matches: list[Match] = field(default_factory=list)
    shares: list[list[float]] = field(init=False)

    def __post_init__(self) -> None:
        self.shares = [[] for _ in range(self.size)]

    def enter(self, pairs: Sequence[Pair], matches: Sequence[Match]) -> None:
        for (i, j), match in zip(pairs, matches, strict=True):
            if match.replies:
                self.shares[i].append(match.share)
                self.shares[j].append(1 - match.share)
        self.matches += matches

    def means(self) -> list[float]:
        """The mean share that each candidate has had of its matches, a half without any.

        The same shares in another order are equal.
        """
        return [round(sum(shares) / len(shares), 9) if shares else 0.5 for shares in self.shares]

    def best(self, count: int) -> list[int]:
        """The ``count`` candidates with the best means, earlier ones first among equals; in their own order."""
        means = self.means()
        return sorted(sorted(range(self.size), key=lambda i: -means[i])[:count])

    def against(self, pivots: Sequence[int]) -> list[Pair]:
        """Every other candidate with every one of ``pivots``, and these with each other."""
        others = [i for i in range(self.size) if i not in pivots]
        return [*((i, pivot) for i in others for pivot in pivots), *combinations(pivots, 2)]
