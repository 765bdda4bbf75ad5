"""Budget curves: accuracy against compute, as plain arrays with intervals over problems."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from widthwise.core.arguments import one_of, share, whole
from widthwise.core.arrays import DoubleArray, IntArray
from widthwise.core.brief import Brief, brief, counted
from widthwise.core.errors import UsageError
from widthwise.core.problem import Grader
from widthwise.core.scores.trace_score import LOGPROBS
from widthwise.core.session.derived_seed import derived_seed
from widthwise.core.session.prices import Prices
from widthwise.core.tabular import Plotted
from widthwise.evals.measure.axes import AXES, Axis
from widthwise.evals.measure.costs import answered_budgets, sample_budgets
from widthwise.evals.measure.estimators import best_at_k, pass_at_k, short_at_k, weighted_vote_at_k
from widthwise.evals.measure.gain import Reached, efficiencies
from widthwise.evals.measure.intervals import LEVEL, bayesian_bootstrap, minimum_detectable, wilson
from widthwise.evals.measure.majority import maj_at_k
from widthwise.evals.measure.pools import AnswerGrouping, Source, load
from widthwise.evals.measure.reliability import measure
from widthwise.evals.measure.sample_pool import SamplePool
from widthwise.evals.measure.sample_scores import check_absolute
from widthwise.evals.measure.subsets import Estimate, certain
from widthwise.evals.store.waits import NOT_KNOWN

METHODS = ("pass", "maj")
"""What a curve shows by default."""

REPLICATES = 1000


@dataclass(frozen=True, slots=True, eq=False)
class CurveLine(Brief):
    """One method's accuracy at increasing budgets; every array has one element per point.

    ``k`` are samples, ``budgets`` what they cost by axis, averaged over problems (an axis that was not measured is
    absent). ``low`` and ``high`` bound the accuracy on other problems of this kind (NaN for a single problem),
    ``sampling_error`` is the Monte-Carlo standard error of the estimate itself, 0 if it is exact. ``scores``
    ``[problems, points]`` are what all of this is computed from. If the points were limited, ``limits`` are their
    budgets for each problem and ``cut`` the shares of problems on which one trace alone is longer than the budget.
    ``efficiency`` is the share of what lies between one sample and pass@k that the method gets (NaN where nothing does,
    as at k = 1); None if the line is not of answers chosen among k samples.
    """

    method: str
    k: IntArray
    budgets: Mapping[Axis, DoubleArray]
    accuracy: DoubleArray
    low: DoubleArray
    high: DoubleArray
    sampling_error: DoubleArray
    scores: DoubleArray
    limits: DoubleArray | None = None
    cut: DoubleArray | None = None
    efficiency: DoubleArray | None = None

    @property
    def efficiencies(self) -> DoubleArray:
        """``efficiency``, with NaN for a line that has none."""
        return np.full(len(self.k), np.nan) if self.efficiency is None else self.efficiency


@dataclass(frozen=True, slots=True, eq=False)
class Curve(Plotted):
    """What a run or a recording shows about accuracy and budget.

    ``lines`` by method; the strategy's own results, if there are any, are the line "run" with a single point. ``notes``
    are sentences that belong beside the figure. ``pools`` are the samples from which lines with a point for every k
    were computed.
    """

    path: str
    label: str
    suite: str
    model: str
    problems: tuple[str, ...]
    lines: Mapping[str, CurveLine]
    notes: tuple[str, ...] = ()
    pools: tuple[SamplePool, ...] = ()

    def table(self) -> dict[str, list[Any]]:
        """One row per point: its method, what it costs by axis, k, and its accuracy with the bounds."""
        columns: dict[str, list[Any]] = {}
        for line in self.lines.values():
            columns.setdefault("method", []).extend([line.method] * len(line.k))
            for axis in (*AXES, *arguments([self])):
                columns.setdefault(axis, []).extend(line.budgets.get(axis, np.full(len(line.k), np.nan)).tolist())
            for name in ("k", "accuracy", "low", "high", "sampling_error"):
                columns.setdefault(name, []).extend(getattr(line, name).tolist())
            columns.setdefault("efficiency", []).extend(line.efficiencies.tolist())
        return columns

    def plot(self, axis: Axis = "samples", *, ax: Any = None) -> Any:
        """Accuracy against budget: a matplotlib figure, drawn into ``ax`` if given.

        Raises ``UsageError`` if no line has the axis.
        """
        from widthwise.evals.views.plots import draw

        return draw([self], axis, ax=ax)

    def __repr__(self) -> str:
        ends = (f"{name} {100 * line.accuracy[-1]:.1f} % at k = {line.k[-1]}" for name, line in self.lines.items())
        return f"Curve({brief(self.label)}, {counted(len(self.problems), 'problem')}, {', '.join(ends)})"


def arguments(curves: Iterable[Curve]) -> list[Axis]:
    """The axes of these curves that are arguments of their strategies and have no name in ``AXES``."""
    found = {axis for curve in curves for line in curve.lines.values() for axis in line.budgets}
    return sorted(found - AXES.keys())


def curve(
    run: str | Path,
    *,
    methods: Sequence[str] = METHODS,
    grouping: AnswerGrouping = "meaning",
    replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
    grader: Grader | None = None,
    prices: Prices | None = None,
) -> Curve:
    """Accuracy at every k of a run file or a file of recorded generations; needs no model.

    ``grader`` reads and grades everything anew, instead of what is stored; ``prices`` are laid over the stored ones.
    ``methods``: "pass", "maj", "best:SCORE", "weighted:SCORE", "weighted:1/SCORE", "short:M"; for reliability "all"
    (all k samples are right, pass^k), "gpass:SHARE" (at least that share of them, G-Pass@k) and "mgpass" (its mean over
    shares from a half to 1). A SCORE is "mean_logprob", "sum_logprob" or a number recorded with the samples (a minus
    turns its sign); for run files also "reward_model" (with a reduction, "reward_model:min"), if it scored the traces,
    "self_certainty" and the confidences of ``trace_scores``. Raises ``UsageError`` if there is nothing to measure, and
    for impossible arguments.
    """
    one_of(grouping, get_args(AnswerGrouping), "grouping")
    share(level, "level")
    replicates, seed = whole(replicates, "replicates"), whole(seed, "seed", 0)
    scores = sorted({score for name in methods if (score := method(name).score)})
    source = load(run, scores=scores, grouping=grouping, grader=grader, prices=prices)
    drawn: dict[str, CurveLine] = {}
    if source.answered:
        drawn["run"] = _measured(source, level)
    if not source.dependent:
        drawn |= lines(source.pools, methods, replicates=replicates, level=level, seed=seed)
    if not drawn:
        raise UsageError(f"{run}: {source.dependent}: they do not show the accuracy at smaller budgets")
    pools = () if source.dependent else source.pools
    said = (str(run), source.label, source.suite, source.model, source.problems)
    return Curve(*said, drawn, tuple(_notes(source)), pools)


def lines(
    pools: Sequence[SamplePool],
    methods: Sequence[str | CurveMethod] = METHODS,
    *,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, CurveLine]:
    """One line per method over pools of independent samples, with bands from ``replicates`` sets of problems."""
    chosen = [method(m) if isinstance(m, str) else m for m in methods]
    drawn = [_line(m, pools, replicates, level, seed) for m in chosen]
    choosing = any(m.answers for m in chosen)
    coverage = _line(method("pass"), pools, 1, level, seed).accuracy if choosing else np.empty(0)
    return {
        m.name: replace(line, efficiency=efficiencies(line.accuracy, coverage)) if m.answers else line
        for m, line in zip(chosen, drawn, strict=True)
    }


# -- methods ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CurveMethod:
    """A way to choose an answer among k samples; ``waits_for`` is the number of traces after which it stops.

    One that does not choose (``answers``) only describes the samples: coverage, reliability.
    """

    name: str
    estimate: Callable[[SamplePool, int], Estimate]
    score: str | None = None
    waits_for: int | None = None
    answers: bool = True


def method(name: str) -> CurveMethod:
    """The method that a word names; an unknown word raises ``UsageError`` with the valid ones."""
    kind, _, argument = name.partition(":")
    if name == "pass":
        return CurveMethod(name, lambda pool, seed: certain(pass_at_k(pool.values)), answers=False)
    if (reliable := measure(name)) is not None:
        return CurveMethod(name, lambda pool, seed: _reliable(pool, reliable), answers=False)
    if name == "maj":
        return CurveMethod(name, lambda pool, seed: maj_at_k(pool.votes, pool.values, seed=seed))
    if kind in ("best", "weighted"):
        check_absolute(argument.removeprefix("1/"), name)
    if kind == "best" and argument:
        return CurveMethod(name, lambda pool, seed: _best(pool, argument), argument)
    if kind == "weighted" and argument:
        score = argument.removeprefix("1/")
        return CurveMethod(name, lambda pool, seed: _weighted(pool, score, argument != score, seed), score)
    if kind == "short" and argument.isdigit() and int(argument):
        m = int(argument)
        return CurveMethod(name, lambda pool, seed: _short(pool, m, seed), waits_for=m)
    raise UsageError(
        f"unknown method {name!r}: write pass, maj, best:SCORE, weighted:SCORE, weighted:1/SCORE, short:M, all, "
        "gpass:SHARE (a share above 0 and at most 1) or mgpass"
    )


def _reliable(pool: SamplePool, estimate: Callable[[DoubleArray], DoubleArray]) -> Estimate:
    try:
        return certain(estimate(pool.values))
    except ValueError as error:
        raise UsageError(f"problem {pool.problem}: {error}") from None


def _best(pool: SamplePool, score: str) -> Estimate:
    # A trace without an answer cannot be picked.
    return certain(best_at_k(pool.values, np.where(pool.votes < 0, np.nan, pool.scores[score])))


def _weighted(pool: SamplePool, score: str, inverse: bool, seed: int) -> Estimate:
    weights = pool.scores[score]
    if score in LOGPROBS:
        # Only ratios matter, and a sum may be so far below zero that its exponential is zero.
        weights = np.exp(weights - np.nanmax(weights, initial=-np.inf))
    elif inverse:
        weights = 1 / weights
    try:
        return weighted_vote_at_k(pool.votes, pool.values, weights, seed=seed)
    except ValueError:
        raise UsageError(f"the score {score!r} is negative for some samples: it cannot weight votes") from None


def _short(pool: SamplePool, m: int, seed: int) -> Estimate:
    if np.isnan(pool.tokens).any():
        raise UsageError(f"short:{m} needs the samples' token counts, which problem {pool.problem} lacks")
    try:
        return short_at_k(pool.votes, pool.values, np.where(pool.finished, pool.tokens, np.nan), m, seed=seed)
    except ValueError as error:
        raise UsageError(f"problem {pool.problem}: {error}") from None


# -- lines -----------------------------------------------------------------------------------------------------


def _line(chosen: CurveMethod, pools: Sequence[SamplePool], replicates: int, level: float, seed: int) -> CurveLine:
    points = min((len(pool) for pool in pools if len(pool)), default=1)
    # Each problem has its own draws, so that their Monte-Carlo errors are independent.
    estimates = [chosen.estimate(pool, derived_seed(seed, pool.problem, ["curve"])) for pool in pools]
    scores = np.array([_cut(e.value, points) for e in estimates])
    errors = np.array([_cut(e.error, points) for e in estimates])
    low, high = band(scores, replicates, level, seed)
    return CurveLine(
        chosen.name,
        np.arange(1, points + 1),
        sample_budgets(pools, points, chosen.waits_for),
        scores.mean(axis=0),
        low,
        high,
        np.sqrt((errors**2).sum(axis=0)) / len(pools),
        scores,
    )


def _cut(values: DoubleArray, points: int) -> DoubleArray:
    """The first points; a problem whose requests all failed has no samples and scores 0."""
    return values[:points] if len(values) else np.zeros(points)


def band(scores: DoubleArray, replicates: int, level: float, seed: int) -> tuple[DoubleArray, DoubleArray]:
    """Bounds over problems of each point of ``scores`` ``[problems, points]``; NaN for a single problem."""
    if len(scores) < 2:
        unknown = np.full(scores.shape[1], np.nan)
        return unknown, unknown
    found = bayesian_bootstrap(scores, replicates=replicates, level=level, seed=seed)
    return found.low, found.high


def _measured(source: Source, level: float) -> CurveLine:
    """The strategy's own answers: one point, with Wilson's interval."""
    scores = np.array([[float(a.right)] for a in source.answered])
    interval = wilson(float(scores.sum()), len(scores), level)
    budgets = answered_budgets(source)
    k = np.array([round(float(budgets["samples"][0]))])
    low, high = np.array([interval.low]), np.array([interval.high])
    line = CurveLine("run", k, budgets, scores.mean(axis=0), low, high, np.zeros(1), scores)
    return line if source.dependent else replace(line, efficiency=_chosen(source.pools, scores[:, 0]))


def _chosen(pools: Sequence[SamplePool], answered: DoubleArray) -> DoubleArray:
    """The selection efficiency of the strategy's own answers, as one point."""
    one = np.array([pool.values.mean() if len(pool) else 0.0 for pool in pools])
    covered = np.array([pool.values.max(initial=0.0) for pool in pools])
    found = Reached(one, covered, answered).mean_efficiency
    return np.array([np.nan if found is None else found])


def _notes(source: Source) -> list[str]:
    notes = []
    if source.dependent:
        notes.append(f"{source.dependent}: only the run's own result is shown; smaller budgets need runs of their own")
    if source.copies is not None and source.copies.note:
        notes.append(source.copies.note)
    if not source.sequential_known:
        notes.append(NOT_KNOWN)
    if source.no_money and not (source.answered and source.dependent and source.answered[0].money is not None):
        notes.append(source.no_money)
    if source.open:
        notes.append(f"{source.open} of {source.open + len(source.pools)} problems are not finished yet")
    if len(source.pools) == 1:
        notes.append("with one problem, there is no interval over problems")
    else:
        points = 100 * minimum_detectable(len(source.pools))
        notes.append(
            f"{len(source.pools)} problems show a difference between two methods from about {points:.0f} points on"
        )
    sizes = {len(pool) for pool in source.pools}
    if len(sizes) > 1:
        notes.append(f"problems have {min(sizes)} to {max(sizes)} samples: curves end at the smallest number above 0")
    if all((pool.votes < 0).all() for pool in source.pools):
        notes.append("no sample states a readable answer: every vote is empty")
    return notes
