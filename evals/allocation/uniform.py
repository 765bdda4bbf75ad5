"""The same number of samples for every problem: what other allocators are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from widthwise.core.registry import register
from widthwise.evals.allocation.allocator import Allocator
from widthwise.evals.allocation.prospect import Prospect, costs


@register("allocator")
@dataclass(frozen=True)
class Uniform(Allocator):
    """Gives the next sample to the problem that has the fewest, the first in the suite among equals."""

    probes: int = 1

    def allocate(self, prospects: Sequence[Prospect], tokens: float, most: int) -> list[int]:
        cost, left, more = costs(prospects), tokens, [0] * len(prospects)
        for size in range(min(map(len, prospects)), most):
            for i, prospect in enumerate(prospects):
                if not prospect.closed and len(prospect) + more[i] == size and cost[i] <= left:
                    left, more[i] = left - cost[i], more[i] + 1
        return more
