"""maj@k: what a majority vote among k of n samples scores, exactly and at every k."""

from __future__ import annotations

from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from widthwise.core.arrays import DoubleArray, IntArray
from widthwise.evals.measure.estimators import DRAWS, NO_VOTE, weighted_vote_at_k
from widthwise.evals.measure.subsets import Estimate, certain

EXACT_UP_TO = 512
"""The largest pool that ``maj_at_k`` computes exactly; time grows with n^3, and binomials overflow at n = 1030."""


def maj_at_k(
    votes: ArrayLike, values: ArrayLike, *, exact_up_to: int = EXACT_UP_TO, draws: int = DRAWS, seed: int = 0
) -> Estimate:
    """The value of a majority vote among k samples for k = 1..n, with ties split fairly.

    ``votes`` ``int [n]`` are answer classes, ``NO_VOTE`` (-1) for samples without an answer: these are drawn but do not
    vote, and a subset without any vote is worth 0. A class is worth the mean of its samples' ``values``. Exact up to
    ``exact_up_to`` samples, Monte-Carlo over ``draws`` subsets beyond.
    """
    vote, value = np.asarray(votes, np.int64), np.asarray(values, np.float64)
    if len(vote) > exact_up_to:
        return weighted_vote_at_k(vote, value, np.ones(len(vote)), draws=draws, seed=seed)
    names, classes, sizes = np.unique(vote, return_inverse=True, return_counts=True)
    worth = np.bincount(classes, value) / sizes
    result = np.zeros(len(vote))
    for i in np.flatnonzero((names != NO_VOTE) & (worth != 0)):
        rivals = sizes[(names != NO_VOTE) & (names != names[i])]
        result += worth[i] * wins(int(sizes[i]), rivals, int(sizes[names == NO_VOTE].sum()))
    return certain(result)


def wins(size: int, rivals: IntArray, silent: int = 0) -> DoubleArray:
    """The probability that a class of ``size`` samples wins the vote of k of all samples, for k = 1..n.

    ``rivals`` are the sizes of the other classes, ``silent`` counts the samples that do not vote. A tie of t classes is
    won with probability 1/t.

    A class with m votes in the subset certainly beats a rival below m, and one at m in half of the cases. If every
    class gets a random rank u in [0, 1] and a tie goes to the highest, it wins with probability ``integral of prod_j
    (sum_{x<m} C(n_j, x) z^x + u C(n_j, m) z^m) du``, where z counts the samples taken: a polynomial in u that
    Gauss-Legendre nodes integrate exactly. Every term is positive, so nothing cancels.
    """
    n = size + int(rivals.sum()) + silent
    rivals = -np.sort(-rivals)
    votes, ranks, shares = _rows(size, rivals)
    ways = _others(votes, ranks, rivals, n - size, silent)
    ways *= (shares * _choose(size)[votes])[:, None]
    total = np.zeros(n + 1)
    begins = np.flatnonzero(np.diff(votes, prepend=0))
    for m, ways_of_m in zip(votes[begins], np.add.reduceat(ways, begins, axis=0), strict=True):
        total[m : m + n - size + 1] += ways_of_m
    return np.asarray(total[1:] / _choose(n)[1:])


def _rows(size: int, rivals: IntArray) -> tuple[IntArray, DoubleArray, DoubleArray]:
    """For m = 1..size votes, the nodes of the integral over u: votes, ranks u and shares, one row per node."""
    rows = [(m, *_nodes(int((rivals >= m).sum()) // 2 + 1)) for m in range(1, size + 1)]
    votes = np.repeat([m for m, _, _ in rows], [len(ranks) for _, ranks, _ in rows])
    return votes, np.concatenate([r for _, r, _ in rows]), np.concatenate([s for _, _, s in rows])


def _others(votes: IntArray, ranks: DoubleArray, rivals: IntArray, n: int, silent: int) -> DoubleArray:
    """In how many ways the other n samples fill up a subset without winning, ``[rows, samples taken 0..n]``.

    Classes that are too small to reach m votes take part freely, like the silent samples: all of them together are one
    binomial row. The large ones are multiplied in, one at a time.
    """
    free = silent + np.array([rivals[rivals < m].sum() for m in range(votes[-1] + 1)])
    ways = np.array([_choose(int(f), n) for f in free])[votes]
    for rival in rivals:
        rows = int(np.searchsorted(votes, rival, "right"))  # in the rows after these it is free
        ways[:rows] = _limited(ways[:rows], votes[:rows], ranks[:rows], int(rival))
    return ways


def _limited(ways: DoubleArray, votes: IntArray, ranks: DoubleArray, size: int) -> DoubleArray:
    """``ways`` times a class of ``size`` samples that takes fewer than m, or m at the cost of rank u."""
    choose, result = _choose(size), ways.copy()
    for taken in range(1, int(votes[-1]) + 1 if len(votes) else 0):
        begin, end = np.searchsorted(votes, [taken, taken + 1])
        chance = ranks[begin:end, None] * choose[taken]
        result[begin:end, taken:] += chance * ways[begin:end, :-taken]
        result[end:, taken:] += choose[taken] * ways[end:, :-taken]
    return result


@lru_cache(maxsize=2048)
def _choose(n: int, length: int | None = None) -> DoubleArray:
    """``C(n, i)`` for i = 0..length (n by default); 0 beyond n."""
    row = np.zeros((n if length is None else length) + 1)
    row[: n + 1] = [float(comb(n, i)) for i in range(n + 1)]
    row.flags.writeable = False
    return row


@lru_cache(maxsize=256)
def _nodes(count: int) -> tuple[DoubleArray, DoubleArray]:
    """Gauss-Legendre nodes and weights on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return (nodes + 1) / 2, weights / 2
