"""Allocators: parts that decide which problems of a run get more samples from the pool that all share."""

from __future__ import annotations

import heapq
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from widthwise.core.registry import declares
from widthwise.core.strategy.part import Part
from widthwise.core.strategy.strategy import Aggregator, Strategy
from widthwise.evals.allocation.prospect import Prospect, costs
from widthwise.evals.allocation.switches import Switch

Gain = Callable[[int, int], float]
"""What the m-th further sample of a problem (its place, m from 1) is worth; it must not rise with m."""


@declares("allocator")
@dataclass(frozen=True)
class Allocator(Part):
    """Shares out a pool of tokens; the base of allocators, which decide in ``allocate``.

    Every problem gets ``probes`` samples first, so that nobody starves. Raises ``UsageError`` for fewer than one.
    """

    probes: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.probes < 1:
            raise ValueError(f"probes must be at least 1, not {self.probes}")

    @abstractmethod
    def allocate(self, prospects: Sequence[Prospect], tokens: float, most: int) -> list[int]:
        """How many more samples each problem gets for about ``tokens`` tokens, at most ``most`` of each altogether.

        Nothing but the prospects may decide, so that a resumed run decides alike.
        """

    def switches(self, prospects: Sequence[Prospect], tokens: float, most: int) -> dict[int, Switch]:
        """Problems (by place) that go on with another strategy in place of further samples, the most worthwhile first.

        ``tokens`` are all that are left, and about what all problems together may get; ``most`` is as in ``allocate``,
        which decides on the others.
        """
        return {}

    @property
    def strategies(self) -> tuple[Strategy, ...]:
        """All to which ``switches`` may lead."""
        return ()

    @property
    def score(self) -> str:
        """The score of samples that it reads; empty for the one by which the strategy's aggregator chooses."""
        return ""

    @property
    def aggregators(self) -> tuple[Aggregator, ...]:
        """All that ``aggregator`` may return."""
        return ()

    def aggregator(self, prospect: Prospect) -> Aggregator | None:
        """How the answer of a problem is chosen; None as the strategy says."""
        return None

    @property
    def needs_references(self) -> bool:
        """Whether it reads what only reference answers tell, so that it can be studied, but not run."""
        return False

    @property
    def configuration(self) -> dict[str, str]:
        """What decides its results besides its arguments, for the run file."""
        return {}


def by_gain(prospects: Sequence[Prospect], tokens: float, most: int, gain: Gain) -> list[int]:
    """Further samples in order of their gain per token, as many as ``tokens`` are expected to pay.

    Optimal, up to the last sample, where the gains of each problem do not rise (Damani et al., arXiv 2410.04707). Of
    equal gains the problem that comes first has the first.
    """
    cost, left, more = costs(prospects), tokens, [0] * len(prospects)
    queue = [entry for i in range(len(prospects)) if (entry := _entry(prospects, i, 1, most, gain, cost))]
    heapq.heapify(queue)
    while queue:
        _, i = heapq.heappop(queue)
        if cost[i] > left:
            continue
        left, more[i] = left - cost[i], more[i] + 1
        if entry := _entry(prospects, i, more[i] + 1, most, gain, cost):
            heapq.heappush(queue, entry)
    return more


def _entry(
    prospects: Sequence[Prospect], i: int, m: int, most: int, gain: Gain, cost: Sequence[float]
) -> tuple[float, int] | None:
    """Where the m-th further sample of problem ``i`` stands in the queue; None if it may not be or gains nothing."""
    if prospects[i].closed or len(prospects[i]) + m > most or (worth := gain(i, m)) <= 0:
        return None
    return -worth / cost[i], i
