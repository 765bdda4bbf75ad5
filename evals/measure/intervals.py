"""How uncertain a measured accuracy is, and whether two accuracies differ.

Everything here refers to the population from which the *problems* are drawn. Repeated samples of one problem are not
independent trials: they enter as one score per problem. With fewer than a few hundred problems normal theory fails near
0 and 1 (Bowyer et al., arXiv 2503.01747): use ``wilson`` for single runs there, and ``bayesian_bootstrap`` for scores
of several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from widthwise.core.arrays import DoubleArray, IntArray
from widthwise.core.brief import Brief
from widthwise.evals.measure import wilson as proportion

LEVEL = 0.95
REPLICATES = 10_000
_DRAWN_AT_ONCE = 500


@dataclass(frozen=True, slots=True, eq=False)
class Band(Brief):
    """Intervals around the points of a curve, all arrays of one shape; ``level`` is the probability that they hold."""

    mean: DoubleArray
    low: DoubleArray
    high: DoubleArray
    level: float = LEVEL


@dataclass(frozen=True, slots=True)
class Interval(Brief):
    """One interval."""

    low: float
    high: float
    level: float = LEVEL

    def __str__(self) -> str:
        return f"[{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True)
class Difference(Brief):
    """How much better one method is than another on the same problems.

    ``error`` is the standard error over problems, ``p`` the two-sided probability of so large a difference by
    chance, ``detectable`` the smallest true difference that a set of this size shows in ``power`` of all cases.
    """

    mean: float
    low: float
    high: float
    error: float
    p: float
    detectable: float
    problems: int
    level: float = LEVEL


# -- resampling problems -----------------------------------------------------------------------------------


def bootstrap(
    scores: ArrayLike,
    *,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
    strata: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
) -> Band:
    """Percentile intervals of the mean over problems, ``[problems, ...] -> [...]``.

    ``scores`` have one row per problem: a score, or a curve of exact per-problem estimates. Problems are drawn with
    replacement, within each of the ``strata`` (suites), and whole ``clusters`` of related problems at a time.
    """
    rows = np.asarray(scores, np.float64)
    means = resampled_means(rows, replicates=replicates, seed=seed, strata=strata, clusters=clusters)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Band(rows.mean(axis=0), low, high, level)


def bayesian_bootstrap(scores: ArrayLike, *, replicates: int = REPLICATES, level: float = LEVEL, seed: int = 0) -> Band:
    """Posterior intervals of the mean over problems, for scores from 0 to 1, ``[problems, ...] -> [...]``.

    The bootstrap of Rubin (1981), in which problems get random weights, with one problem of score 0 and one of score 1
    added as a prior. For scores of 0 and 1 that is the posterior of a flat prior, and unlike the plain bootstrap it
    stays honest if all problems have the same score. The interval is widened to include the mean if that lies outside
    (all right, or all wrong).
    """
    rows = np.asarray(scores, np.float64)
    flat, rng = rows.reshape(len(rows), -1), np.random.default_rng(seed)
    batches = []
    for begin in range(0, replicates, _DRAWN_AT_ONCE):
        weights = rng.standard_exponential((min(_DRAWN_AT_ONCE, replicates - begin), len(rows) + 2))
        weights /= weights.sum(axis=1, keepdims=True)
        batches.append(weights[:, :-2] @ flat + weights[:, -1:])
    means = np.concatenate(batches).reshape(replicates, *rows.shape[1:])
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    mean = rows.mean(axis=0)
    return Band(mean, np.minimum(low, mean), np.maximum(high, mean), level)


def resampled_means(
    scores: ArrayLike,
    *,
    replicates: int,
    seed: int = 0,
    strata: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
) -> DoubleArray:
    """Means of ``replicates`` resampled sets of problems, ``[problems, ...] -> [replicates, ...]``."""
    rows = np.asarray(scores, np.float64)
    if not len(rows):
        raise ValueError("no problem to resample")
    stratum = np.zeros(len(rows), int) if strata is None else np.unique(strata, return_inverse=True)[1]
    cluster = np.arange(len(rows)) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    flat, rng = rows.reshape(len(rows), -1), np.random.default_rng(seed)
    batches = []
    for begin in range(0, replicates, _DRAWN_AT_ONCE):
        counts = _drawn(stratum, cluster, min(_DRAWN_AT_ONCE, replicates - begin), rng)
        batches.append(counts @ flat / counts.sum(axis=1, keepdims=True))
    means: DoubleArray = np.concatenate(batches).reshape(replicates, *rows.shape[1:])
    return means


def _drawn(strata: IntArray, clusters: IntArray, replicates: int, rng: np.random.Generator) -> DoubleArray:
    """How often each problem is in each resampled set, ``[replicates, problems]``."""
    counts = np.zeros((replicates, len(strata)))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        names, place = np.unique(clusters[members], return_inverse=True)
        times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=replicates)
        counts[:, members] = times[:, place]
    return counts


# -- comparing methods on the same problems ----------------------------------------------------------------


def paired(
    a: ArrayLike,
    b: ArrayLike,
    *,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    power: float = 0.8,
    seed: int = 0,
    strata: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
) -> Difference:
    """Method ``a`` minus method ``b``, with one score per problem each, by a bootstrap over problems.

    The p-value is exact for single runs (0/1 scores: McNemar's test on the problems on which they disagree) and from
    Wilcoxon's signed ranks otherwise.
    """
    one, other = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if one.shape != other.shape or one.ndim != 1:
        raise ValueError("a paired comparison needs one score of each method for every problem")
    gap = one - other
    band = bootstrap(gap, replicates=replicates, level=level, seed=seed, strata=strata, clusters=clusters)
    error = standard_error(gap, clusters)
    return Difference(
        mean=float(band.mean),
        low=float(band.low),
        high=float(band.high),
        error=error,
        p=_paired_p(gap, binary=bool(np.isin([*one, *other], (0, 1)).all())),
        detectable=_both_tails(1 - level, power) * error,
        problems=len(gap),
        level=level,
    )


def _paired_p(gap: DoubleArray, *, binary: bool) -> float:
    apart = gap[np.abs(gap) > 1e-12]
    if not len(apart):
        return 1.0
    if binary:
        return float(stats.binomtest(int((apart > 0).sum()), len(apart)).pvalue)
    return float(stats.wilcoxon(np.round(apart, 12)).pvalue)


def holm(p: ArrayLike) -> DoubleArray:
    """p-values of several comparisons, adjusted so that one false alarm among all has their size (Holm, 1979)."""
    values = np.asarray(p, np.float64)
    order = np.argsort(values)
    stepped = np.maximum.accumulate(values[order] * (len(values) - np.arange(len(values))))
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


# -- standard errors and what a set can show ---------------------------------------------------------------


def adjusted(differences: Sequence[Difference]) -> list[Difference]:
    """The same, with p-values adjusted for their number (Holm, 1979)."""
    values = holm([difference.p for difference in differences])
    return [replace(difference, p=float(p)) for difference, p in zip(differences, values, strict=True)]


def standard_error(scores: ArrayLike, clusters: ArrayLike | None = None) -> float:
    """Standard error of the mean over problems, with related ones counted together (Miller, arXiv 2411.00640)."""
    rows = np.asarray(scores, np.float64)
    n = len(rows)
    if n < 2:
        return float("nan")
    if clusters is None:
        return float(rows.std(ddof=1) / np.sqrt(n))
    cluster = np.unique(clusters, return_inverse=True)[1]
    sums = np.bincount(cluster, rows - rows.mean())
    within = np.bincount(cluster, (rows - rows.mean()) ** 2)
    variance = rows.var(ddof=1) / n + (sums**2 - within).sum() / n**2
    return float(np.sqrt(max(variance, 0.0)))


def minimum_detectable(
    problems: int,
    between: float = 1 / 9,
    noise: Sequence[tuple[float, int]] = (),
    *,
    level: float = LEVEL,
    power: float = 0.8,
) -> float:
    """The smallest difference between two methods that ``problems`` problems show with this ``power``.

    ``between`` is the variance over problems of the true difference; ``noise`` holds for each method the mean variance
    of one run and the number of runs, ``(sigma^2, K)``.
    """
    variance = between + sum(sigma2 / runs for sigma2, runs in noise)
    return float(_both_tails(1 - level, power) * np.sqrt(variance / problems))


def _both_tails(alpha: float, power: float) -> float:
    return float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power))


# -- small suites ------------------------------------------------------------------------------------------


def wilson(right: float, n: int, level: float = LEVEL) -> Interval:
    """Wilson's score interval for ``right`` of ``n`` problems solved in a single run."""
    _check(right, n)
    return Interval(*proportion.wilson(right, n, level), level)


def _check(right: float, n: float) -> None:
    if not 0 <= right <= n or n < 1:
        raise ValueError(f"{right:g} of {n:g} problems cannot have been solved")
