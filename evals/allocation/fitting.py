"""Fitting a policy on stored samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from widthwise.core.errors import UsageError
from widthwise.core.strategy.strategy import Strategy
from widthwise.evals.allocation.difficulty import difficulty_named
from widthwise.evals.allocation.policy import Bin, Policy, aggregator_of
from widthwise.evals.allocation.study import ORDERS, picks, prospect_of, shuffled
from widthwise.evals.measure.buying import Pick
from widthwise.evals.measure.sample_pool import SamplePool
from widthwise.samplers.best_of_n import BestOfN

BINS = 5
"""How many bins of difficulty, as in the paper (Snell et al., arXiv 2408.03314)."""


def fit(
    pools: Sequence[SamplePool],
    choose: Sequence[str],
    *,
    difficulty: str = "entropy",
    score: str = "",
    probes: int = 4,
    bins: int = BINS,
    orders: int = ORDERS,
    seed: int = 0,
) -> Policy:
    """The policy that is best for ``pools``: in each bin, and at each size, the best of the aggregators ``choose``.

    Bins are quantiles of the difficulty that ``probes`` samples show, over ``orders`` random orders; quantiles that are
    equal make one bin. Raises ``UsageError`` for an unknown difficulty, for the difficulty "score" without a ``score``,
    and for aggregators that stored answers and scores do not determine.
    """
    measure = difficulty_named(difficulty)
    if difficulty == "score" and not score:
        raise UsageError(
            "difficulty score needs a strategy that chooses by a reward model, or by recorded numbers that are chances "
            "of being right, such as best_by('reward_model')"
        )
    sizes = _sizes(probes, min(map(len, pools)))
    chosen = [picks(Strategy(BestOfN(sizes[-1]), aggregator=aggregator_of(text))) for text in choose]
    hard, right = [], []
    for drawn, chance in shuffled(pools, orders, seed):
        hard += [measure(prospect_of(pool, min(probes, len(pool)), 0.0, score)) for pool in drawn]
        right += [_right(pool, sizes, chosen, chance) for pool in drawn]
    edges = np.unique(np.quantile(hard, np.arange(1, bins) / bins))
    places = np.searchsorted(edges, hard, side="right")
    kept = [b for b in range(len(edges) + 1) if (places == b).any()]
    found = [_bin(np.mean([r for r, place in zip(right, places, strict=True) if place == b], axis=0), sizes, choose)
             for b in kept]  # fmt: skip
    # An edge below which nothing lies divides nothing.
    return Policy(difficulty, probes, tuple(float(edges[b - 1]) for b in kept[1:]), tuple(found), score)


def _sizes(probes: int, most: int) -> list[int]:
    """The probes, and then half as many again each time, up to the size of the smallest pool."""
    sizes = [min(probes, most)]
    while sizes[-1] < most:
        sizes.append(min(max(sizes[-1] * 3 // 2, sizes[-1] + 1), most))
    return sizes


def _right(pool: SamplePool, sizes: Sequence[int], chosen: Sequence[Pick], seed: int) -> list[list[float]]:
    """How right each aggregator is with the first so many samples, ``[aggregator][size]``."""

    def value(pick: Pick, n: int) -> float:
        place = pick(pool.first(n), seed)
        return 0.0 if place is None else float(pool.values[place])

    return [[value(pick, n) for n in sizes] for pick in chosen]


def _bin(right: np.ndarray[tuple[int, int], np.dtype[np.float64]], sizes: Sequence[int], choose: Sequence[str]) -> Bin:
    best = right.argmax(axis=0)
    values = right.max(axis=0)
    return Bin(tuple(sizes), tuple(values.tolist()), tuple(choose[int(i)] for i in best))
