"""Which problems are to go on with another strategy in place of further samples."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from widthwise.core.brief import Brief
from widthwise.core.strategy.strategy import Strategy
from widthwise.evals.allocation.bin import Alternative, Bin, Step
from widthwise.evals.allocation.prospect import Prospect, costs


@dataclass(frozen=True, slots=True)
class Switch(Brief):
    """A problem goes on with ``strategy`` in place of further samples, for about so many ``tokens``."""

    strategy: Strategy
    tokens: float


def alternatives_for(
    prospects: Sequence[Prospect], bins: Sequence[Bin], tokens: float, most: int
) -> dict[int, tuple[Alternative, float]]:
    """The alternatives among what is best for ``tokens`` tokens in all, each with its expected cost.

    By place in ``prospects``; what gains most per token comes first. ``most`` is how many samples a problem gets at
    most. Each problem goes along the steps of its bin, the largest gain per token first, as far as the tokens reach.
    That is optimal up to the last step of each problem (the multiple-choice knapsack, relaxed), as Snell et al. (arXiv
    2408.03314) choose for each difficulty what is best at its budget.
    """
    cost = costs(prospects)
    steps = [[] if p.closed else b.steps(len(p), most) for p, b in zip(prospects, bins, strict=True)]
    taken = [steps[i][:count] for i, count in enumerate(_taken(steps, cost, tokens))]
    worth = {i: sum(s.gain for s in own) / sum(s.samples for s in own) / cost[i] for i, own in enumerate(taken) if own}
    ends = {i: own[-1].alternative for i, own in enumerate(taken) if own}
    order = sorted(ends, key=lambda i: (-worth[i], i))
    return {i: (end, end.samples * cost[i]) for i in order if (end := ends[i]) is not None}


def _taken(steps: Sequence[Sequence[Step]], cost: Sequence[float], tokens: float) -> list[int]:
    """How many steps each problem goes for ``tokens`` tokens."""
    left, taken = tokens, [0] * len(steps)
    queue = [_entry(steps[i], 0, i, cost[i]) for i in range(len(steps)) if steps[i]]
    heapq.heapify(queue)
    while queue:
        _, i = heapq.heappop(queue)
        step = steps[i][taken[i]]
        if step.samples * cost[i] > left:
            left -= left // cost[i] * cost[i] if step.divisible else 0
            continue
        left, taken[i] = left - step.samples * cost[i], taken[i] + 1
        if taken[i] < len(steps[i]):
            heapq.heappush(queue, _entry(steps[i], taken[i], i, cost[i]))
    return taken


def _entry(steps: Sequence[Step], place: int, problem: int, cost: float) -> tuple[float, int]:
    return -steps[place].gain / (steps[place].samples * cost), problem
