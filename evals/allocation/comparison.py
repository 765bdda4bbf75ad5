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
from widthwise.evals.allocation.alternatives import Answers
from widthwise.evals.allocation.confidence import score_of
from widthwise.evals.allocation.study import NO_ANSWERS, ORDERS, Shared, evenly, shared_out
from widthwise.evals.allocation.suite_budget import SuiteBudget
from widthwise.evals.measure.answered import Answered
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
            raise UsageError(
                f"{path} cannot be shared out anew: {source.dependent}; a run of a strategy that a policy may "
                f"choose is given as --alternative {path}"
            )
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
    answers: Answers = NO_ANSWERS,
    orders: int = ORDERS,
    seed: int = 0,
) -> list[Row]:
    """Best-of-n, and more samples for all, and each allocator with the tokens that best-of-n takes on average.

    Between them stand the other strategies of ``answers``, each for all problems, at what it cost.
    """
    if n > (most := min(map(len, pools))):
        raise UsageError(f"best-of-{n} is more than the {most} samples that every problem has")
    base = evenly(pools, n, strategy, orders=orders, seed=seed)
    tokens = pool_of(pools, n)
    rows = [_row(n, f"best_of_n(n={n})", base, None)]
    for size in sorted({min(n * times, most) for times in MULTIPLES[1:]}):
        rows.append(_row(n, f"best_of_n(n={size})", evenly(pools, size, strategy, orders=orders, seed=seed), base))
    for text, known in answers.items():
        brief = parse_strategy(text, trusted=False).brief()
        rows.append(_row(n, brief, _everywhere([known[pool.problem] for pool in pools]), base))
    for allocator in allocators:
        budget = SuiteBudget(tokens, allocator)
        shared = shared_out(pools, budget, strategy, answers=answers, orders=orders, seed=seed)
        rows.append(_row(n, allocator.brief(), shared, base))
    return rows


def pool_of(pools: Sequence[SamplePool], n: int) -> int:
    """The tokens that ``n`` samples of every problem take on average."""
    return int(sum(n * float(pool.tokens.mean()) for pool in pools))


def _everywhere(known: Sequence[Sequence[Answered]]) -> Shared:
    """What a strategy made of all problems, averaged over its runs."""
    rows = [[(each.right, each.spent.samples, each.spent.total) for each in results] for results in known]
    return Shared(*np.array([np.mean(results, axis=0) for results in rows]).T)


def _row(n: int, method: str, found: Shared, base: Shared | None) -> Row:
    difference = None if base is None else paired(found.right, base.right)
    return Row(n, method, float(found.right.mean()), float(found.tokens.sum()), difference)
