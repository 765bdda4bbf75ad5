"""Laws that accuracy follows as samples are added, fitted to a measured curve, and where more samples stop paying.

A fit describes the measured range; beyond four times its largest k nothing here is supported. The points of one curve
share their problems and samples: resample problems (``intervals.resampled_means``) and fit each, and never treat the
points as independent.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import curve_fit
from scipy.special import betaln

from widthwise.core.arrays import DoubleArray
from widthwise.evals.measure.intervals import LEVEL, resampled_means

_log = logging.getLogger(__name__)


class Law(Protocol):
    """Accuracy as a function of the number of samples; ``name`` is what tables call it."""

    name: ClassVar[str]

    def at(self, k: ArrayLike) -> DoubleArray: ...


L = TypeVar("L", bound=Law)


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """Coverage ``exp(a k^b)`` with a, b < 0 (Brown et al., arXiv 2407.21787).

    It tends to 1, even if some problems are never solved.
    """

    name: ClassVar[str] = "power"

    a: float
    b: float

    def at(self, k: ArrayLike) -> DoubleArray:
        return np.asarray(np.exp(self.a * np.asarray(k, np.float64) ** self.b))


@dataclass(frozen=True, slots=True)
class BetaLaw:
    """Coverage if problems have success rates ``Beta(alpha, beta)`` and a share ``never`` has rate 0.

    ``1 - c(k)`` falls like ``k^-alpha``: the power law of a set whose every problem is exponential (Schaeffer et al.,
    arXiv 2502.17578).
    """

    name: ClassVar[str] = "beta"

    alpha: float
    beta: float
    never: float = 0.0

    def at(self, k: ArrayLike) -> DoubleArray:
        misses = np.exp(betaln(self.alpha, self.beta + np.asarray(k, np.float64)) - betaln(self.alpha, self.beta))
        return np.asarray((1 - self.never) * (1 - misses))

    def gain(self, k: ArrayLike) -> DoubleArray:
        """What sample k + 1 adds."""
        rest = betaln(self.alpha + 1, self.beta + np.asarray(k, np.float64)) - betaln(self.alpha, self.beta)
        return np.asarray((1 - self.never) * np.exp(rest))

    def saturation(self, gain: float = 0.01) -> int:
        """The first k whose next sample adds no more than ``gain``."""
        k = 1
        while self.gain(2 * k) > gain:
            k *= 2
        return int(np.flatnonzero(self.gain(np.arange(2 * k + 1)) <= gain)[0])


@dataclass(frozen=True, slots=True)
class SaturatingLaw:
    """``ceiling (1 - (1 - p)^k)``, the test-time scaling performance model (Wang et al., arXiv 2505.20522).

    A single p for all problems saturates far too early on sets of mixed difficulty: compare with ``BetaLaw``. Votes
    need not follow it at all; they can fall.
    """

    name: ClassVar[str] = "saturating"

    ceiling: float
    p: float

    def at(self, k: ArrayLike) -> DoubleArray:
        return np.asarray(self.ceiling * (1 - (1 - self.p) ** np.asarray(k, np.float64)))

    def gain(self, k: ArrayLike) -> DoubleArray:
        """What sample k + 1 adds."""
        return np.asarray(self.ceiling * self.p * (1 - self.p) ** np.asarray(k, np.float64))

    def saturation(self, gain: float = 0.01) -> int:
        """The first k whose next sample adds no more than ``gain``."""
        first = self.ceiling * self.p
        return int(np.ceil(np.log(gain / first) / np.log1p(-self.p))) if first > gain else 0


@dataclass(frozen=True, slots=True)
class LogLaw:
    """``a + b ln k``: accuracy against the number of parallel samples or threads."""

    name: ClassVar[str] = "logarithmic"

    a: float
    b: float

    def at(self, k: ArrayLike) -> DoubleArray:
        return np.asarray(self.a + self.b * np.log(np.asarray(k, np.float64)))


@dataclass(frozen=True, slots=True)
class CeilingLaw:
    """``ceiling - c k^-b``: a vote that levels off."""

    name: ClassVar[str] = "ceiling"

    ceiling: float
    c: float
    b: float

    def at(self, k: ArrayLike) -> DoubleArray:
        return np.asarray(self.ceiling - self.c * np.asarray(k, np.float64) ** -self.b)


def grid(n: int, points: int = 40) -> DoubleArray:
    """Log-spaced k from 1 to n / 2: beyond half of the pool, estimates vary too much to fit."""
    return np.unique(np.round(np.geomspace(1, max(n // 2, 1), points)))


_FITS: dict[type[Law], tuple[tuple[float, ...], tuple[tuple[float, ...], tuple[float, ...]]]] = {
    PowerLaw: ((-1.0, -0.3), ((-np.inf, -np.inf), (0.0, 0.0))),
    SaturatingLaw: ((0.8, 0.3), ((0.0, 1e-9), (1.0, 1 - 1e-9))),
    LogLaw: ((0.5, 0.1), ((-np.inf, -np.inf), (np.inf, np.inf))),
    BetaLaw: ((0.5, 1.0, 0.05), ((1e-6, 1e-6, 0.0), (np.inf, np.inf, 1.0))),
    CeilingLaw: ((0.8, 0.5, 0.5), ((0.0, -np.inf, 0.0), (1.0, np.inf, np.inf))),
}


def fit(
    law: type[L], k: ArrayLike, accuracy: ArrayLike, errors: ArrayLike | None = None, *, near: L | None = None
) -> L:
    """The ``law`` nearest to the points ``(k, accuracy)`` by least squares, weighted by ``errors`` if given.

    The search begins at the law ``near``, if there is one: similar points are fitted by similar laws. Raises ValueError
    with fewer points than parameters, or if no fit is found.
    """
    x, y = np.asarray(k, np.float64), np.asarray(accuracy, np.float64)
    begin, bounds = _FITS[law]
    if len(x) < len(begin):
        raise ValueError(f"the {law.name} law has {len(begin)} parameters: {len(x)} points are too few")
    begin = begin if near is None else tuple(getattr(near, name) for name in _parameters(law))
    model: Callable[..., DoubleArray] = lambda at, *parameters: law(*parameters).at(at)  # noqa: E731
    try:
        best, _ = curve_fit(model, x, y, p0=begin, bounds=bounds, sigma=_positive(errors), maxfev=20_000)
    except RuntimeError as error:
        raise ValueError(f"no {law.name} law fits these points") from error
    return law(*map(float, best))


def _parameters(law: type[Law]) -> list[str]:
    return list(inspect.signature(law).parameters)


def _positive(errors: ArrayLike | None) -> DoubleArray | None:
    """Errors usable as weights: a point without spread must not outweigh all others."""
    if errors is None:
        return None
    sigma = np.asarray(errors, np.float64)
    return np.maximum(sigma, max(float(sigma.max()) * 1e-3, 1e-9))


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A law fitted to a curve, and its uncertainty on other problems of this kind.

    ``low`` and ``high`` bound each parameter, by name. ``predicted`` is what a fit to all points but the last predicts
    for the last, ``observed`` what was measured there: a law that misses it should not be extrapolated.
    """

    law: Law
    low: dict[str, float]
    high: dict[str, float]
    predicted: float
    observed: float


def fit_curve(
    law: type[Law], scores: ArrayLike, *, replicates: int = 200, level: float = LEVEL, seed: int = 0
) -> Fitted:
    """Fit ``law`` to the mean of ``scores`` ``[problems, k = 1..n]`` on a log grid; whole problems are resampled.

    Raises ValueError if no fit is found, or the curve is too short.
    """
    rows = np.asarray(scores, np.float64)
    k = grid(2 * rows.shape[1], points=20)
    rows = rows[:, k.astype(int) - 1]
    means = resampled_means(rows, replicates=replicates, seed=seed)
    errors = means.std(axis=0)
    found = fit(law, k, rows.mean(axis=0), errors)
    names = _parameters(law)
    drawn = [f for f in (_fit_or_none(law, k, mean, errors, found) for mean in means) if f is not None]
    if len(drawn) < len(means):
        _log.info("%d of %d resampled curves have no %s law: left out", len(means) - len(drawn), len(means), law.name)
    if not drawn:
        raise ValueError(f"no {law.name} law fits the resampled curves")
    values = np.array([[getattr(f, name) for name in names] for f in drawn])
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    predicted, observed = held_out(law, k, rows.mean(axis=0))
    return Fitted(
        found,
        dict(zip(names, low.tolist(), strict=True)),
        dict(zip(names, high.tolist(), strict=True)),
        predicted,
        observed,
    )


def _fit_or_none(law: type[Law], k: DoubleArray, accuracy: DoubleArray, errors: DoubleArray, near: Law) -> Law | None:
    """A resampled curve may be flat or fall, so that no law fits: it is left out."""
    try:
        return fit(law, k, accuracy, errors, near=near)
    except ValueError:
        return None


def held_out(law: type[Law], k: ArrayLike, accuracy: ArrayLike) -> tuple[float, float]:
    """Predicted and observed accuracy at the largest k, with a fit to all other points."""
    x, y = np.asarray(k, np.float64), np.asarray(accuracy, np.float64)
    return float(fit(law, x[:-1], y[:-1]).at(x[-1])), float(y[-1])
