"""Allocators side by side on stored samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from widthwise.core.brief import Brief
from widthwise.core.errors import UsageError
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.strategy.strategy import Strategy
from widthwise.evals.allocation.allocator import Allocator
from widthwise.evals.allocation.alternatives import Answers
from widthwise.evals.allocation.study import NO_ANSWERS, ORDERS, Shared, evenly, shared_out
from widthwise.evals.allocation.suite_budget import SuiteBudget
from widthwise.evals.measure.answered import Answered
from widthwise.evals.measure.intervals import Difference, paired
from widthwise.evals.measure.sample_pool import SamplePool

MULTIPLES = (1, 2, 3, 4)
"""Uniform best-of-N is shown with the pool's own N and so many times it."""


@dataclass(frozen=True, slots=True)
class Allocation(Brief):
    """What a method made of a pool with the tokens of ``n`` samples a problem.

    ``accuracy`` is a fraction of 1. ``tokens`` and ``money`` (None: unknown) are of all problems together.
    ``difference`` is its accuracy minus that of best-of-n, paired by problem; None for best-of-n itself.
    """

    n: int
    method: str
    accuracy: float
    tokens: float
    difference: Difference | None
    money: float | None = None


def compared(
    pools: Sequence[SamplePool],
    strategy: Strategy,
    allocators: Sequence[Allocator],
    n: int,
    *,
    answers: Answers = NO_ANSWERS,
    orders: int = ORDERS,
    seed: int = 0,
) -> list[Allocation]:
    """Best-of-n, and more samples for all, and each allocator with the tokens that best-of-n takes on average.

    Between them stand the other strategies of ``answers``, each for all problems, at what it cost.
    """
    check_samples(pools, [n])
    base = evenly(pools, n, strategy, orders=orders, seed=seed)
    tokens = pool_of(pools, n)
    rows = [_row(n, f"best_of_n(n={n})", base, None)]
    for size in sorted({min(n * times, fewest(pools)) for times in MULTIPLES[1:]} - {n}):
        rows.append(_row(n, f"best_of_n(n={size})", evenly(pools, size, strategy, orders=orders, seed=seed), base))
    for text, known in answers.items():
        brief = parse_strategy(text, trusted=False).brief()
        rows.append(_row(n, brief, everywhere([known[pool.problem] for pool in pools]), base))
    for allocator in allocators:
        budget = SuiteBudget(tokens, allocator)
        shared = shared_out(pools, budget, strategy, answers=answers, orders=orders, seed=seed)
        rows.append(_row(n, allocator.brief(), shared, base))
    return rows


def check_samples(pools: Sequence[SamplePool], sizes: Sequence[int]) -> None:
    """Raises ``UsageError`` if some problem has fewer samples than one of ``sizes``."""
    if max(sizes, default=0) > (most := fewest(pools)):
        raise UsageError(
            f"best-of-{max(sizes)} is more than the {most} samples that every problem has: ask for at most that, "
            f"samples=[{most}] (--samples {most})"
        )


def fewest(pools: Sequence[SamplePool]) -> int:
    """How many samples every problem has."""
    return min(map(len, pools))


def pool_of(pools: Sequence[SamplePool], n: int) -> int:
    """The tokens that ``n`` samples of every problem take on average."""
    return int(sum(n * float(pool.tokens.mean()) for pool in pools))


def everywhere(known: Sequence[Sequence[Answered]]) -> Shared:
    """What a strategy made of all problems, averaged over its runs."""
    rows = [[_figures(each) for each in results] for results in known]
    return Shared(*np.array([np.mean(results, axis=0) for results in rows]).T)


def _figures(of: Answered) -> tuple[float, int, int, float]:
    return of.right, of.spent.samples, of.spent.total, math.nan if of.money is None else of.money


def _row(n: int, method: str, found: Shared, base: Shared | None) -> Allocation:
    difference = None if base is None else paired(found.right, base.right)
    money = float(found.money.sum())
    paid = None if math.isnan(money) else money
    return Allocation(n, method, float(found.right.mean()), float(found.tokens.sum()), difference, paid)
