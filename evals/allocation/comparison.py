"""Allocators side by side on stored samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from widthwise.core.errors import UsageError
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.strategy.strategy import Aggregator, Strategy
from widthwise.evals.allocation.allocator import Allocator
from widthwise.evals.allocation.confidence import score_of
from widthwise.evals.allocation.study import ORDERS, Shared, evenly, shared_out
from widthwise.evals.allocation.suite_budget import SuiteBudget
from widthwise.evals.measure.intervals import Difference, paired
from widthwise.evals.measure.pools import load
from widthwise.evals.measure.sample_pool import SamplePool

MULTIPLES = (1, 2, 3, 4)
"""Uniform best-of-N is shown with the pool's own N and so many times it."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a method made of a pool with the tokens of ``n`` samples a problem.

    ``difference`` is its accuracy minus that of best-of-n, paired by problem; None for best-of-n itself.
    """

    n: int
    method: str
    accuracy: float
    tokens: float
    difference: Difference | None


def pools_in(runs: Sequence[str | Path], aggregators: Sequence[Aggregator | None]) -> list[SamplePool]:
    """The samples of all ``runs`` together, with the scores that ``aggregators`` read.

    Raises ``UsageError`` for samples that depend on one another, for numbers of tokens that are not known, and for a
    problem that is there twice.
    """
    scores = sorted({name for each in aggregators if (name := score_of(each))})
    pools: list[SamplePool] = []
    for path in runs:
        source = load(path, scores=scores)
        if source.dependent:
            raise UsageError(f"{path} cannot be shared out anew: {source.dependent}")
        if any(np.isnan(pool.tokens).any() for pool in source.pools):
            raise UsageError(f"{path} does not say how many tokens its samples have")
        pools += source.pools
    if len({pool.problem for pool in pools}) < len(pools):
        raise UsageError("a problem is in several of the files: each problem is shared out once")
    return pools


def strategy_in(run: str | Path) -> Strategy:
    """The strategy of a run; raises ``UsageError`` if the file does not name one."""
    text = load(run).strategy
    if not text:
        raise UsageError(f"{run} names no strategy: give one (--strategy)")
    return parse_strategy(text, trusted=False)


def compared(
    pools: Sequence[SamplePool],
    strategy: Strategy,
    allocators: Sequence[Allocator],
    n: int,
    *,
    orders: int = ORDERS,
    seed: int = 0,
) -> list[Row]:
    """Best-of-n, and more samples for all, and each allocator with the tokens that best-of-n takes on average."""
    if n > (most := min(map(len, pools))):
        raise UsageError(f"best-of-{n} is more than the {most} samples that every problem has")
    base = evenly(pools, n, strategy, orders=orders, seed=seed)
    tokens = pool_of(pools, n)
    rows = [_row(n, f"best_of_n(n={n})", base, None)]
    for size in sorted({min(n * times, most) for times in MULTIPLES[1:]}):
        rows.append(_row(n, f"best_of_n(n={size})", evenly(pools, size, strategy, orders=orders, seed=seed), base))
    for allocator in allocators:
        shared = shared_out(pools, SuiteBudget(tokens, allocator), strategy, orders=orders, seed=seed)
        rows.append(_row(n, allocator.brief(), shared, base))
    return rows


def pool_of(pools: Sequence[SamplePool], n: int) -> int:
    """The tokens that ``n`` samples of every problem take on average."""
    return int(sum(n * float(pool.tokens.mean()) for pool in pools))


def _row(n: int, method: str, found: Shared, base: Shared | None) -> Row:
    difference = None if base is None else paired(found.right, base.right)
    return Row(n, method, float(found.right.mean()), float(found.tokens.sum()), difference)
