"""Random subsets of a pool of samples: the weights with which exact estimators sum, and random draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from widthwise.core.arrays import DoubleArray, IntArray

_WHOLE = 1024
"""The largest pool whose weights are kept in memory as a whole; those of larger ones come in blocks of ranks."""
_BLOCK = 256
_NUMBERS_AT_ONCE = 300_000


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """The expected value of a k-sample method, ``value[k - 1]`` for k = 1..n, over all k-subsets of a pool.

    ``error`` is the Monte-Carlo standard error of each value, 0 if it is exact. It says nothing about how another pool
    would differ: that is what intervals over problems are for.
    """

    value: DoubleArray
    error: DoubleArray

    @property
    def exact(self) -> bool:
        return not self.error.any()


def certain(value: DoubleArray) -> Estimate:
    """An estimate without Monte-Carlo error."""
    return Estimate(value, np.zeros_like(value))


@lru_cache(maxsize=16)
def first_rank_weights(n: int) -> DoubleArray:
    """Probabilities ``[n, n]`` that the best-ranked member of a random subset has rank i: row i - 1, column k - 1.

    ``C(n - i, k - 1) / C(n, k)``, built rank by rank from ratios, so that no large number occurs.
    """
    k = np.arange(1, n + 1, dtype=np.float64)
    rank = np.arange(1, n, dtype=np.float64)[:, None]
    ratios = np.clip((n - rank - k + 1) / (n - rank), 0, None)
    return np.vstack([k / n, k / n * np.cumprod(ratios, axis=0)])


def first_rank_mean(values: DoubleArray) -> DoubleArray:
    """The expected value of the best-ranked of k samples, ``[..., n] -> [..., n]``; ``values`` come best rank first."""
    n = values.shape[-1]
    if n <= _WHOLE:
        return np.asarray(values @ first_rank_weights(n))
    k = np.arange(1, n + 1, dtype=np.float64)
    mean, row = np.zeros(values.shape), k / n
    for begin in range(0, n, _BLOCK):
        ranks = np.arange(begin + 1, min(begin + _BLOCK, n) + 1, dtype=np.float64)[:, None]
        ratios = np.clip((n - ranks - k + 1) / np.maximum(n - ranks, 1), 0, None)
        weights = row * np.vstack([np.ones(n), np.cumprod(ratios, axis=0)])
        mean += values[..., begin : begin + len(ranks)] @ weights[:-1]
        row = weights[-1]
    return mean


@lru_cache(maxsize=16)
def mth_rank_weights(n: int, m: int) -> DoubleArray:
    """Probabilities ``[n, n]`` that the m-th best-ranked member of a random k-subset has rank i; 0 where k < m.

    ``C(i - 1, m - 1) C(n - i, k - m) / C(n, k)``.
    """
    logs = log_factorials(n)
    i, k = np.arange(1, n + 1)[:, None], np.arange(1, n + 1)[None, :]
    possible = (i >= m) & (k >= m) & (n - i >= k - m)
    i, k = np.where(possible, i, n), np.where(possible, k, n)
    m_ = np.where(possible, m, n)
    chance = _log_choose(logs, i - 1, m_ - 1) + _log_choose(logs, n - i, k - m_) - _log_choose(logs, n, k)
    return np.where(possible, np.exp(chance), 0.0)


@lru_cache(maxsize=16)
def log_factorials(n: int) -> DoubleArray:
    """``log(i!)`` for i = 0..n."""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1, dtype=np.float64)))])


def _log_choose(logs: DoubleArray, n: IntArray | int, k: IntArray) -> DoubleArray:
    chosen: DoubleArray = logs[n] - logs[k] - logs[n - k]
    return chosen


def shuffles(n: int, draws: int, seed: int) -> Iterator[IntArray]:
    """``draws`` random orders of n samples in batches ``int64 [batch, n]``; the first k of each are a random k-subset.

    Subsets of one order are nested, so estimates at neighbouring k share their noise and curves are smooth; at every
    single k the draws are independent.
    """
    rng, batch = np.random.default_rng(seed), max(_NUMBERS_AT_ONCE // n, 1)
    for begin in range(0, draws, batch):
        yield rng.permuted(np.broadcast_to(np.arange(n), (min(batch, draws - begin), n)), axis=1)


def samples_of(n: int, m: int, draws: int, rng: np.random.Generator) -> IntArray:
    """Random m-subsets of n positions, ``int64 [draws, m]``, without replacement and in no order."""
    return np.argpartition(rng.random((draws, n)), m - 1, axis=1)[:, :m] if m < n else np.tile(np.arange(n), (draws, 1))


def averaged(values: DoubleArray) -> Estimate:
    """Mean and standard error over draws, ``[draws, k]``."""
    return Estimate(values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values)))
