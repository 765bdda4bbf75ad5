"""Fitting a policy on stored samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from widthwise.core.brief import counted
from widthwise.core.errors import UsageError
from widthwise.core.strategy.strategy import Strategy
from widthwise.evals.allocation.alternatives import Answers
from widthwise.evals.allocation.bin import Alternative, Bin
from widthwise.evals.allocation.difficulty import difficulty_named
from widthwise.evals.allocation.policy import Policy, aggregator_of
from widthwise.evals.allocation.study import NO_ANSWERS, ORDERS, picks, prospect_of, shuffled
from widthwise.evals.measure.answered import Answered
from widthwise.evals.measure.buying import Pick
from widthwise.evals.measure.sample_pool import SamplePool
from widthwise.samplers.best_of_n import BestOfN

BINS = 5
"""How many bins of difficulty, as in the paper (Snell et al., arXiv 2408.03314)."""


def fit(
    pools: Sequence[SamplePool],
    choose: Sequence[str],
    *,
    answers: Answers = NO_ANSWERS,
    difficulty: str = "entropy",
    score: str = "",
    probes: int = 4,
    bins: int = BINS,
    orders: int = ORDERS,
    seed: int = 0,
) -> Policy:
    """The policy that is best for ``pools``: in each bin, and at each size, the best of the aggregators ``choose``.

    With ``answers`` of other strategies to the same problems, it also has what each of them is worth in each bin, and
    what it costs there. Bins are quantiles of the difficulty that ``probes`` samples show, over ``orders`` random
    orders; quantiles that are equal make one bin. Raises ``UsageError`` for an unknown difficulty, for the difficulty
    "score" without a ``score``, for more ``probes`` than some problem has samples, and for aggregators that stored
    answers and scores do not determine.
    """
    measure = difficulty_named(difficulty)
    if difficulty == "score" and not score:
        raise UsageError(
            "difficulty score needs a strategy that chooses by a reward model, or by recorded numbers that are chances "
            "of being right, such as best_by('reward_model')"
        )
    if (least := min(map(len, pools))) < probes:
        raise UsageError(f"--probes {probes}, but some problem has only {counted(least, 'sample')}: give at most that")
    sizes = _sizes(probes, least)
    chosen = [picks(Strategy(BestOfN(sizes[-1]), aggregator=aggregator_of(text))) for text in choose]
    hard, rows = [], []
    for drawn, chance in shuffled(pools, orders, seed):
        hard += [measure(prospect_of(pool, probes, 0.0, score)) for pool in drawn]
        rows += [_Row(pool, _right(pool, sizes, chosen, chance)) for pool in drawn]
    edges = np.unique(np.quantile(hard, np.arange(1, bins) / bins))
    places = np.searchsorted(edges, hard, side="right")
    kept = [b for b in range(len(edges) + 1) if (places == b).any()]
    found = [_bin([r for r, place in zip(rows, places, strict=True) if place == b], sizes, choose, answers)
             for b in kept]  # fmt: skip
    # An edge below which nothing lies divides nothing.
    return Policy(difficulty, probes, tuple(float(edges[b - 1]) for b in kept[1:]), tuple(found), score)


@dataclass(frozen=True, slots=True)
class _Row:
    """A problem in one order: how ``right`` each aggregator is at each size, ``[aggregator][size]``."""

    pool: SamplePool
    right: list[list[float]]


def _sizes(probes: int, most: int) -> list[int]:
    """The probes (at most ``most``), and then half as many again each time, up to the size of the smallest pool."""
    sizes = [probes]
    while sizes[-1] < most:
        sizes.append(min(max(sizes[-1] * 3 // 2, sizes[-1] + 1), most))
    return sizes


def _right(pool: SamplePool, sizes: Sequence[int], chosen: Sequence[Pick], seed: int) -> list[list[float]]:
    """How right each aggregator is with the first so many samples, ``[aggregator][size]``."""

    def value(pick: Pick, n: int) -> float:
        place = pick(pool.first(n), seed)
        return 0.0 if place is None else float(pool.values[place])

    return [[value(pick, n) for n in sizes] for pick in chosen]


def _bin(rows: Sequence[_Row], sizes: Sequence[int], choose: Sequence[str], answers: Answers) -> Bin:
    right = np.mean([row.right for row in rows], axis=0)
    best, values = right.argmax(axis=0), right.max(axis=0)
    alternatives = (_alternative(strategy, rows, int(best[0]), known) for strategy, known in answers.items())
    return Bin(tuple(sizes), tuple(values.tolist()), tuple(choose[int(i)] for i in best), tuple(alternatives))


def _alternative(
    strategy: str, rows: Sequence[_Row], aggregator: int, known: Mapping[str, Sequence[Answered]]
) -> Alternative:
    """What a strategy is worth in a bin: where it states no answer, the vote of the probes stands."""
    found = [(row, each) for row in rows for each in known[row.pool.problem]]
    right = np.mean([each.right if each.stated else row.right[aggregator][0] for row, each in found])
    tokens = np.mean([each.spent.total for _, each in found])
    sample = np.mean([row.pool.tokens.mean() for row, _ in found])
    return Alternative(strategy, float(max(tokens, 1) / max(sample, 1)), float(right))
