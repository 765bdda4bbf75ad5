"""Allocators on stored samples: what they would have done with a pool of tokens, at no cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from widthwise.core.arrays import DoubleArray, IntArray
from widthwise.core.brief import Brief
from widthwise.core.errors import UsageError
from widthwise.core.session.derived_seed import derived_seed
from widthwise.core.session.launches import bought
from widthwise.core.strategy.strategy import Strategy
from widthwise.evals.allocation.alternatives import Answers, answered_in
from widthwise.evals.allocation.prospect import Prospect
from widthwise.evals.allocation.suite_budget import Grant, SuiteBudget
from widthwise.evals.measure.buying import Pick, pick_of
from widthwise.evals.measure.sample_pool import SamplePool
from widthwise.samplers.best_of_n import BestOfN

ORDERS = 20
"""In how many random orders the samples of a pool are drawn by default."""


NO_ANSWERS: Answers = {}


@dataclass(frozen=True, slots=True, eq=False)
class Shared(Brief):
    """What came of a pool, by problem and averaged over orders, all ``float64 [p]``.

    How right it is, its samples, and what they cost in tokens and money (NaN: unknown).
    """

    right: DoubleArray
    samples: DoubleArray
    tokens: DoubleArray
    money: DoubleArray


def shared_out(
    pools: Sequence[SamplePool],
    budget: SuiteBudget,
    strategy: Strategy,
    *,
    answers: Answers = NO_ANSWERS,
    orders: int = ORDERS,
    seed: int = 0,
) -> Shared:
    """What a run of ``strategy`` under ``budget`` makes of the samples, which it draws in ``orders`` random orders.

    It is a run's procedure on samples that are known already. One order, ``orders=0``, is that of the pools.
    ``answers`` are those of the other strategies with which the allocator has problems go on: of several runs of one,
    each order takes one at random, and one that would have cost more than its share counts as cut. Raises
    ``UsageError`` for a strategy that stored answers and scores do not determine, and for another one without answers.
    """
    sampler, score = budget.check(strategy, len(pools), live=False), budget.score(strategy)
    _ = [picks(each) for each in budget.strategies(strategy)]
    found = [
        _Study(drawn, budget, strategy, sampler, score, answers, s).found()
        for drawn, s in shuffled(pools, orders, seed)
    ]
    return Shared(*np.mean(found, axis=0))


def evenly(pools: Sequence[SamplePool], n: int, strategy: Strategy, *, orders: int = ORDERS, seed: int = 0) -> Shared:
    """The same with ``n`` samples for every problem, on the same samples in the same orders."""
    pick = picks(strategy)
    found = [[_even(pool, n, pick, s) for pool in drawn] for drawn, s in shuffled(pools, orders, seed)]
    return Shared(*np.mean(found, axis=0).T)


def picks(strategy: Strategy) -> Pick:
    """How the strategy chooses among stored samples; ``UsageError`` if these do not determine it."""
    pick = pick_of(strategy.aggregator)
    if pick is None:
        raise UsageError(f"stored answers and scores do not tell what {strategy.brief()} would choose")
    return pick


def shuffled(pools: Sequence[SamplePool], orders: int, seed: int) -> Iterator[tuple[list[SamplePool], int]]:
    """The pools with their samples in random orders, each with a seed; as they are, once, for 0 orders."""
    if not orders:
        yield list(pools), seed
    for number in range(orders):
        chosen = derived_seed(seed, "order", (number,))
        rng = np.random.default_rng(chosen)
        yield [_in_order(pool, rng.permutation(len(pool))) for pool in pools], chosen


def _in_order(pool: SamplePool, order: IntArray) -> SamplePool:
    scores = {name: values[order] for name, values in pool.scores.items()}
    arrays = {name: getattr(pool, name)[order] for name in ("votes", "values", "tokens", "finished")}
    return replace(pool, scores=scores, **arrays)


class _Study:
    """One order of the samples, shared out."""

    def __init__(
        self,
        pools: Sequence[SamplePool],
        budget: SuiteBudget,
        strategy: Strategy,
        sampler: BestOfN,
        score: str,
        answers: Answers,
        seed: int,
    ) -> None:
        self._pools, self._budget, self._strategy, self._sampler = pools, budget, strategy, sampler
        self._score, self._answers, self._seed = score, answers, seed
        self._prospects = [prospect_of(pool, 0, 0.0, score) for pool in pools]
        self._replaced: dict[int, float] = {}
        self._money = [pool.first_money for pool in pools]

    def found(self) -> DoubleArray:
        """Right, samples, tokens and money of every problem, ``float64 [4, p]``."""
        grants = self._budget.first(len(self._pools))
        while grants:
            for place, grant in grants.items():
                went_on = self._sampled if grant.strategy is None else self._answered
                self._prospects[place] = went_on(place, self._prospects[place], grant)
            grants = self._budget.next(self._prospects, self._sampler, longest=None)
        each = enumerate(self._prospects)
        return np.array([(self._right(i, p), len(p), p.charged, self._money[i]) for i, p in each]).T

    def _sampled(self, place: int, before: Prospect, grant: Grant) -> Prospect:
        """How a problem stands after a grant of samples: the rule of a run's launches says what the tokens buy."""
        pool, wanted = self._pools[place], len(before) + grant.samples
        found = bought(pool.tokens[:wanted].tolist(), before.spent + grant.tokens, paid=len(before))
        self._money[place] += pool.further_money(found.begun - len(before), found.spent - before.spent)
        after = replace(prospect_of(pool, found.whole, found.spent, self._score), closed=found.whole < wanted)
        return before.followed(after, found.spent, grant.tokens)

    def _answered(self, place: int, before: Prospect, grant: Grant) -> Prospect:
        """How a problem stands after another strategy, whose answer counts if its share is enough."""
        known = answered_in(self._answers, str(grant.strategy), before.problem, self._seed)
        tokens = known.spent.total
        if tokens < grant.tokens and known.stated:
            self._replaced[place] = known.right
        self._money[place] += known.money_within(grant.tokens)
        return before.followed(before, before.spent + min(tokens, grant.tokens), grant.tokens)

    def _right(self, place: int, prospect: Prospect) -> float:
        aggregator = self._budget.allocator.aggregator(prospect) or self._strategy.aggregator
        pick = picks(replace(self._strategy, aggregator=aggregator))
        return self._replaced.get(place, _voted(self._pools[place].first(len(prospect)), pick, self._seed))


def prospect_of(pool: SamplePool, n: int, spent: float, score: str = "") -> Prospect:
    """How a problem stands after its first ``n`` samples, which cost ``spent`` tokens."""
    known = pool.first(n)
    scores = known.scores[score] if score else np.full(n, np.nan)
    return Prospect(pool.problem, known.votes, scores, spent, pass_rate=float(pool.values.mean()))


def _even(pool: SamplePool, n: int, pick: Pick, seed: int) -> tuple[float, int, float, float]:
    known = pool.first(n)
    tokens = float(known.tokens.sum())
    return _voted(known, pick, seed), n, tokens, float(pool.expected_money(n, tokens))


def _voted(pool: SamplePool, pick: Pick, seed: int) -> float:
    """How right the answer is that the samples give."""
    chosen = pick(pool, seed)
    return 0.0 if chosen is None else float(pool.values[chosen])
