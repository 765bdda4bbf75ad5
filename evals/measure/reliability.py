"""How reliably samples are right: the probability that all of k are, or at least a share of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import hypergeom

from widthwise.core.arrays import DoubleArray
from widthwise.evals.measure.estimators import largest_at_k


def measure(name: str) -> Callable[[DoubleArray], DoubleArray] | None:
    """The measure that a word names, ``[n] -> [n]``: "all", "gpass:SHARE", "mgpass"; None for any other word."""
    kind, _, argument = name.partition(":")
    if kind == "gpass" and (share := _share(argument)) is not None:
        return partial(share_at_k, share=share)
    return {"all": all_at_k, "mgpass": mean_share_at_k}.get(name)


def _share(text: str) -> float | None:
    """A share above 0 and at most 1; None for any other text."""
    try:
        share = float(text)
    except ValueError:
        return None
    return share if 0 < share <= 1 else None


def all_at_k(values: ArrayLike) -> DoubleArray:
    """The probability that k samples are all right, ``[..., n] -> [..., n]``: pass^k of tau-bench (arXiv 2406.12045).

    ``C(c, k) / C(n, k)``. For samples that are right in part, it is the expected grade of the worst of k.
    """
    return 1 - largest_at_k(1 - np.asarray(values, np.float64))


def share_at_k(correct: ArrayLike, share: float) -> DoubleArray:
    """The probability that at least ``share`` of k samples are right, ``[n] -> [n]``: G-Pass@k (arXiv 2412.13147).

    The sum of ``C(c, j) C(n - c, k - j) / C(n, k)`` over j from ``ceil(share * k)``, at least 1; share 1 is pass^k, and
    a share towards 0 is pass@k. Raises ``ValueError`` for samples that are right in part, and for a share that is not
    above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"the share has to be above 0 and at most 1, not {share:g}")
    n, right = _counted(correct)
    k = np.arange(1, n + 1)
    # 0.6 * 5 is 3.0000000000000004: at least three of five, not four.
    least = np.maximum(np.ceil(share * k - 1e-9), 1)
    return np.asarray(hypergeom.sf(least - 1, n, right, k))


def mean_share_at_k(correct: ArrayLike) -> DoubleArray:
    """mG-Pass@k (arXiv 2412.13147), ``[n] -> [n]``: the mean of G-Pass@k over shares from a half to 1.

    ``2 / k`` times the sum over i from ``ceil(k / 2) + 1`` to k of the probability that at least i of k are right; 0
    for k = 1, for which the sum is empty. Raises ``ValueError`` for samples that are right in part.
    """
    n, right = _counted(correct)
    sums = [hypergeom.sf(np.arange(math.ceil(k / 2), k), n, right, k).sum() * 2 / k for k in range(1, n + 1)]
    return np.asarray(sums)


def _counted(correct: ArrayLike) -> tuple[int, int]:
    """How many samples there are, and how many of them are right."""
    values = np.asarray(correct, np.float64)
    if not np.isin(values, (0, 1)).all():
        raise ValueError("some samples are right in part, but this counts only those that are right")
    return len(values), int(values.sum())
