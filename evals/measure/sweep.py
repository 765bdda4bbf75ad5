"""Sweeps: a grid of strategies, budgets, seeds and suites, planned so that samples are drawn only once.

Independent samples serve every smaller budget and every way to choose among them: best-of-64 contains best-of-16, and a
vote and a choice by score can use the same traces. Strategies that depend on the budget while they run (tree search,
online stopping, a hard limit on tokens or time) need a run of their own per budget; the plan says which and why.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from widthwise.core.arrays import DoubleArray
from widthwise.core.brief import Brief, counted
from widthwise.core.errors import UsageError
from widthwise.core.session.limits import Limits
from widthwise.core.session.prices import Prices
from widthwise.core.strategy.budget import Budget
from widthwise.core.strategy.strategy import Strategy
from widthwise.core.tabular import Tabular
from widthwise.evals.measure.answered import Answered
from widthwise.evals.measure.argument import named_with, with_argument
from widthwise.evals.measure.axes import AXES, LIMITED, MEASURED, Axis
from widthwise.evals.measure.buying import pick_of, purchase
from widthwise.evals.measure.curves import Curve, CurveLine, CurveMethod, band, lines
from widthwise.evals.measure.intervals import LEVEL
from widthwise.evals.measure.pools import Source, load
from widthwise.evals.measure.sharing import choice, pools_of, why_not_shared
from widthwise.evals.store.waits import NOT_KNOWN
from widthwise.samplers.best_of_n import BestOfN
from widthwise.samplers.revisions import Revisions
from widthwise.samplers.serial_search import SerialSearch
from widthwise.samplers.single import Single
from widthwise.samplers.threads import Threads
from widthwise.samplers.tree_search import TreeSampler

_LONG = Threads | SerialSearch
"""Samplers of long traces, each of which is one sample, whatever happens within it."""


@dataclass(frozen=True, slots=True)
class SweepTask:
    """One run to be done: a strategy on a suite, with one seed and one budget (None: no limit)."""

    suite: str
    strategy: Strategy
    budget: Limits | None
    seed: int


@dataclass(frozen=True, slots=True)
class SweepCell(Brief):
    """One strategy at one budget on one suite, and the runs (one per seed) that its accuracy is read from.

    ``shared`` is how the answer is chosen among a part of their samples; None if the runs are the cell's own.
    """

    strategy: Strategy
    suite: str
    limit: float
    tasks: tuple[SweepTask, ...]
    shared: CurveMethod | None = None


@dataclass(frozen=True, slots=True)
class SweepPlan(Tabular):
    """All cells of a sweep; ``notes`` say what is shared, what is not, and why."""

    axis: Axis
    cells: tuple[SweepCell, ...]
    notes: tuple[str, ...]

    @property
    def tasks(self) -> list[SweepTask]:
        """The runs to do, each once, in order."""
        return list(dict.fromkeys(task for cell in self.cells for task in cell.tasks))

    def table(self) -> dict[str, list[Any]]:
        """One row per cell; ``run`` is the strategy of the runs that it is read from."""
        return {
            "suite": [cell.suite for cell in self.cells],
            "strategy": [label(cell.strategy, self.axis) for cell in self.cells],
            self.axis: [cell.limit for cell in self.cells],
            "runs": [len(cell.tasks) for cell in self.cells],
            "run": [cell.tasks[0].strategy.brief() for cell in self.cells],
            "shared": [cell.shared is not None for cell in self.cells],
        }

    def __repr__(self) -> str:
        return f"SweepPlan({counted(len(self.cells), 'cell')} over {self.axis}, {counted(len(self.tasks), 'run')})"


# -- planning --------------------------------------------------------------------------------------------------


def plan(
    strategies: Sequence[Strategy],
    suites: Sequence[str],
    budgets: Sequence[float],
    *,
    axis: Axis = "samples",
    seeds: Sequence[int] = (0,),
) -> SweepPlan:
    """Which runs a grid needs; raises ``UsageError`` for an empty or impossible one.

    ``budgets`` are limits for each problem on ``axis``. On the samples axis, the n of ``best_of_n``, of revisions and
    of tree searches follows them. Any other axis than those that are measured is an argument of the strategies' parts,
    such as ``thinking`` or ``ratio``, and the budgets are its values.
    """
    if not (strategies and suites and budgets and seeds):
        raise UsageError("a sweep needs at least one strategy, one suite, one budget and one seed")
    limits = sorted(set(budgets))
    _check_limits(limits, axis)
    pools = pools_of(strategies, limits, axis)
    cells = [
        cell
        for suite in suites
        for strategy in dict.fromkeys(strategies)
        for cell in _cells(strategy, suite, limits, axis, seeds, pools.get(strategy))
    ]
    alike = [label(s, axis) for s in strategies if _is_the_same_at_all(s, axis)]
    reasons = {label(s, axis): why_not_shared(s, axis) for s in strategies}
    shared = [name for name, reason in reasons.items() if not reason]
    own = {name: reason for name, reason in reasons.items() if reason and name not in alike}
    notes = [f"{name}: a run for each budget, because {reason}" for name, reason in own.items()]
    notes += [f"{name}: one run, because it draws one sample at every budget" for name in alike if reasons[name]]
    if shared:
        notes.append(f"read from shared samples, as means over all subsets of each size: {'; '.join(shared)}")
        if axis in ("tokens", "flops"):
            notes[-1] = f"read from shared samples, in their order of launch: {'; '.join(shared)}"
            notes.append(
                f"a budget of {axis} buys whole traces for each problem, from shared samples and in separate runs alike"
            )
    return SweepPlan(axis, tuple(cells), tuple(notes))


def _check_limits(limits: Sequence[float], axis: Axis) -> None:
    if not all(map(math.isfinite, limits)):
        raise UsageError(f"budgets must be finite numbers, not {list(limits)}")
    if axis in MEASURED and axis not in LIMITED:
        raise UsageError(f"{axis} is measured, but no run is limited by it: sweep over tokens or samples with --price")
    if axis not in AXES:
        return
    least, whole = 0 if axis == "thinking" else 1e-9, axis not in ("seconds", "flops")
    if limits[0] < least or (whole and any(limit != int(limit) for limit in limits)):
        kind = ("" if least else "0 or ") + "positive" + (" whole numbers" if whole else "")
        raise UsageError(f"budgets must be {kind}, not {list(limits)}")


def _cells(
    strategy: Strategy, suite: str, limits: Sequence[float], axis: Axis, seeds: Sequence[int], pool: Strategy | None
) -> list[SweepCell]:
    """The cells of one strategy on one suite; ``pool`` is the run that it is read from, if it is shared."""
    limits = limits[:1] if _is_the_same_at_all(strategy, axis) else limits
    if pool is not None:
        shared = choice(strategy)
        tasks = tuple(SweepTask(suite, pool, None, seed) for seed in seeds)
        return [SweepCell(strategy, suite, limit, tasks, shared) for limit in limits]
    return [
        SweepCell(strategy, suite, limit, tuple(_own(strategy, suite, limit, axis, seed) for seed in seeds))
        for limit in limits
    ]


def _is_the_same_at_all(strategy: Strategy, axis: Axis) -> bool:
    """Whether a strategy draws one sample, whatever the budget of samples: then one run stands for all budgets."""
    sampler = strategy.sampler
    return axis == "samples" and (isinstance(sampler, Single) or (isinstance(sampler, _LONG) and sampler.n == 1))


def _own(strategy: Strategy, suite: str, limit: float, axis: Axis, seed: int) -> SweepTask:
    if axis not in MEASURED:
        return SweepTask(suite, with_argument(strategy, axis, limit), strategy.budget, seed)
    own: dict[str, Any] = {axis: limit if axis in ("seconds", "flops") else int(limit)}
    if axis == "samples" and isinstance(strategy.sampler, BestOfN | TreeSampler | Revisions):
        strategy = replace(strategy, sampler=_as_wide(strategy.sampler, int(limit)))
    if axis == "samples" and isinstance(strategy.sampler, TreeSampler):
        # A search samples steps; as in the papers, its budget counts whole solutions.
        return SweepTask(suite, strategy, strategy.budget, seed)
    return SweepTask(suite, strategy, replace(strategy.budget or Budget(), **own), seed)


def _as_wide(sampler: BestOfN | TreeSampler | Revisions, n: int) -> BestOfN | TreeSampler | Revisions:
    try:
        return replace(sampler, n=n)
    except ValueError as error:
        raise UsageError(f"{sampler} cannot have a budget of {n} samples: {error}") from None


def label(strategy: Strategy, axis: Axis) -> str:
    """The name of a strategy whose n, or another argument, may follow the budget."""
    if axis == "samples" and isinstance(strategy.sampler, BestOfN | TreeSampler | Revisions):
        return strategy.brief().replace(f"n={strategy.sampler.n}", "n=budget", 1)
    return strategy.brief() if axis in MEASURED else named_with(strategy, axis)


def predicted_samples(task: SweepTask) -> int | None:
    """How many samples a run draws for each problem at most; None if only running tells."""
    limits = [task.budget.samples] if task.budget is not None and task.budget.samples is not None else []
    if isinstance(task.strategy.sampler, BestOfN | Revisions):
        limits.append(task.strategy.sampler.n)
    elif isinstance(task.strategy.sampler, Single):
        limits.append(1)
    return min(limits, default=None)


# -- results ---------------------------------------------------------------------------------------------------


def collect(
    made: SweepPlan,
    path_of: Callable[[SweepTask], Path],
    *,
    prices: Prices | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> list[Curve]:
    """One curve per suite and strategy, read from finished runs: a single line "run" with one point per budget.

    ``prices`` are laid over those that the runs have.
    """
    groups: dict[tuple[str, Strategy], list[SweepCell]] = {}
    for cell in made.cells:
        groups.setdefault((cell.suite, cell.strategy), []).append(cell)
    read = partial(load, prices=prices)
    return [
        _curve(cells, made.axis, lambda t, s: read(path_of(t), scores=s), replicates, seed) for cells in groups.values()
    ]


def _curve(
    cells: Sequence[SweepCell],
    axis: Axis,
    read: Callable[[SweepTask, Sequence[str]], Source],
    replicates: int,
    seed: int,
) -> Curve:
    score = cells[0].shared.score if cells[0].shared else None
    sources = {t: read(t, [score] if score else []) for cell in cells for t in cell.tasks}
    for source in sources.values():
        if axis == "sequential" and not source.sequential_known:
            raise UsageError(f"{source.path}: {NOT_KNOWN}")
    if cells[0].shared is not None:
        line = _shared_line(cells, [sources[t] for t in cells[0].tasks], axis, replicates, seed)
    else:
        line = _own_line(cells, sources, axis, replicates, seed)
    first = next(iter(sources.values()))
    lost = len(cells) - len(line.k)
    left_out = f"{lost} of {len(cells)} budgets are left out: they have no more samples than another"
    paid = [] if "money" in line.budgets else [source.no_money for source in sources.values() if source.no_money]
    notes = (*[left_out] * bool(lost), *paid[:1])
    return Curve(
        first.path, label(cells[0].strategy, axis), cells[0].suite, first.model, first.problems, {"run": line}, notes
    )


def _shared_line(
    cells: Sequence[SweepCell], sources: Sequence[Source], axis: Axis, replicates: int, seed: int
) -> CurveLine:
    chosen = cells[0].shared
    assert chosen is not None
    if axis in ("tokens", "flops"):
        return _bought_line(cells, sources, axis, replicates, seed)
    per_seed = [lines(s.pools, [chosen], replicates=1, seed=seed)[chosen.name] for s in sources]
    single = isinstance(cells[0].strategy.sampler, Single)
    k = np.unique([1 if single else min(int(cell.limit), len(per_seed[0].k)) for cell in cells])
    at = k - 1
    budgets: dict[Axis, DoubleArray] = {
        name: np.mean([line.budgets[name][at] for line in per_seed], axis=0)
        for name in per_seed[0].budgets
        if all(name in line.budgets for line in per_seed)
    }
    scores = np.mean([line.scores[:, at] for line in per_seed], axis=0)
    errors = np.sqrt(np.sum([line.sampling_error[at] ** 2 for line in per_seed], axis=0)) / len(per_seed)
    low, high = band(scores, replicates, LEVEL, seed)
    return CurveLine("run", k, budgets, scores.mean(axis=0), low, high, errors, scores, np.array(k, np.float64))


def _bought_line(
    cells: Sequence[SweepCell], sources: Sequence[Source], axis: Axis, replicates: int, seed: int
) -> CurveLine:
    """What each budget buys of the samples of each problem, averaged over seeds."""
    strategy, pick = cells[0].strategy, pick_of(cells[0].strategy.aggregator)
    assert pick is not None
    for source in sources:
        if any(np.isnan(pool.costs(axis)[0]).any() for pool in source.pools):
            raise UsageError(f"{source.path} has no counts of {axis}: sweep over samples instead")
    n = strategy.sampler.n if isinstance(strategy.sampler, BestOfN) else 1
    made = [
        [[purchase(pool, cell.limit, n, pick, task.seed, axis) for cell in cells] for pool in source.pools]
        for source, task in zip(sources, cells[0].tasks, strict=True)
    ]
    value, begun, whole, spent, money = (
        np.array([[[float(getattr(p, name)) for p in row] for row in rows] for rows in made])
        for name in ("value", "begun", "whole", "spent", "money")
    )
    scores, samples = value.mean(axis=0), begun.mean(axis=(0, 1))
    low, high = band(scores, replicates, LEVEL, seed)
    k = np.maximum(np.round(samples).astype(np.int64), 1)
    budgets: dict[Axis, DoubleArray] = {"samples": samples, axis: spent.mean(axis=(0, 1))}
    if not np.isnan(money).any():
        budgets["money"] = money.mean(axis=(0, 1))
    cut = ((whole == 0) & (begun > 0)).mean(axis=(0, 1))
    limits = np.array([cell.limit for cell in cells], np.float64)
    return CurveLine("run", k, budgets, scores.mean(axis=0), low, high, np.zeros(len(cells)), scores, limits, cut)


def _own_line(
    cells: Sequence[SweepCell], sources: Mapping[SweepTask, Source], axis: Axis, replicates: int, seed: int
) -> CurveLine:
    results = [[sources[t].answered for t in cell.tasks] for cell in cells]
    scores = np.array([np.mean([[a.right for a in run] for run in of_cell], axis=0) for of_cell in results]).T
    budgets: dict[Axis, DoubleArray] = {
        name: np.array([np.mean([_spent(a, name) for run in of_cell for a in run]) for of_cell in results], np.float64)
        for name in MEASURED
        if _is_known(name, [a for of_cell in results for run in of_cell for a in run])
    }
    low, high = band(scores, replicates, LEVEL, seed)
    k = np.maximum(np.round(budgets["samples"]).astype(np.int64), 1)
    limits = np.array([cell.limit for cell in cells], np.float64)
    if axis not in MEASURED:
        budgets[axis] = limits
    cut = np.array([np.mean([a.cut for run in of_cell for a in run]) for of_cell in results], np.float64)
    return CurveLine("run", k, budgets, scores.mean(axis=0), low, high, np.zeros(len(cells)), scores, limits, cut)


def _is_known(axis: Axis, answered: Sequence[Answered]) -> bool:
    """Whether all of them have measured what they spent on ``axis``."""
    return all({"money": a.money is not None, "flops": bool(a.spent.flops)}.get(axis, True) for a in answered)


def _spent(answered: Answered, axis: Axis) -> float:
    if axis == "money":
        return math.nan if answered.money is None else answered.money
    return float(answered.spent.total if axis == "tokens" else getattr(answered.spent, axis))
