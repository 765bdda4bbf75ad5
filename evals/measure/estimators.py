"""What a k-sample method scores, from one pool of n samples, at every k up to n.

Each estimate is the mean over all k-subsets of the pool (a U-statistic: unbiased for independent samples), never the
score of the first k. The pool must hold *independent* samples: beams, tree searches and draws that were stopped online
are not independent, and their outputs must not be sub-sampled.

Values are what a chosen sample is worth: 1 or 0 for right or wrong, or any other number of a sample.
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from widthwise.core.arrays import DoubleArray, IntArray
from widthwise.evals.measure.subsets import (
    Estimate,
    averaged,
    first_rank_mean,
    mth_rank_weights,
    samples_of,
    shuffles,
)

NO_VOTE = -1
"""The class of a sample that states no answer."""

DRAWS = 1000
LARGEST_SHORT = 4096
ENUMERATED = 500
"""The largest number of subsets per rank that ``short_at_k`` enumerates."""


def pass_at_k(correct: ArrayLike) -> DoubleArray:
    """The probability that k samples contain a right one, ``[..., n] -> [..., n]`` (Chen et al., arXiv 2107.03374).

    ``1 - C(n - c, k) / C(n, k)``, as a running product of ratios that are at most 1. Of samples that are right in part
    it is the expected grade of the best of k, which is the same for those that are right or wrong.
    """
    right = np.asarray(correct, np.float64)
    if not np.isin(right, (0, 1)).all():
        return largest_at_k(right)
    n, wrong = right.shape[-1], right.shape[-1] - right.sum(axis=-1, keepdims=True)
    drawn = np.arange(n)
    return np.asarray(1 - np.cumprod(np.clip(wrong - drawn, 0, None) / (n - drawn), axis=-1))


def best_at_k(values: ArrayLike, scores: ArrayLike) -> DoubleArray:
    """The value of the best-scored of k samples, ``[..., n] -> [..., n]`` (rank-score@k of arXiv 2505.17813).

    Samples without a score (NaN) are never picked; a subset without any score is worth 0. Samples with equal scores are
    picked with equal probability.
    """
    value, score = np.asarray(values, np.float64), np.asarray(scores, np.float64)
    ranked = np.argsort(-score, axis=-1, kind="stable")  # NaN comes last
    score = np.take_along_axis(score, ranked, axis=-1)
    value = np.where(np.isnan(score), 0.0, np.take_along_axis(value, ranked, axis=-1))
    return first_rank_mean(_tied_means(value, score))


def _tied_means(values: DoubleArray, scores: DoubleArray) -> DoubleArray:
    """Values along the last axis, averaged over neighbours with equal scores."""
    begins = np.ones(scores.shape, bool)
    begins[..., 1:] = scores[..., 1:] != scores[..., :-1]
    block = np.cumsum(begins.ravel()) - 1
    means = np.bincount(block, values.ravel()) / np.bincount(block)
    return np.asarray(means[block].reshape(values.shape))


def largest_at_k(values: ArrayLike) -> DoubleArray:
    """The expected largest of k values, ``[..., n] -> [..., n]``: the critical path of k traces side by side."""
    falling = -np.sort(-np.asarray(values, np.float64), axis=-1)
    return first_rank_mean(falling)


def weighted_vote_at_k(
    votes: ArrayLike, values: ArrayLike, weights: ArrayLike, *, draws: int = DRAWS, seed: int = 0
) -> Estimate:
    """The value of a weighted vote among k samples, over ``draws`` random subsets of each size.

    ``votes`` ``int [n]`` are answer classes, ``NO_VOTE`` for none; a class is worth the mean ``values`` of its
    samples. ``weights`` are at least 0; a sample without a weight (NaN or 0) does not vote. Ties are split.
    Raises ValueError for a negative weight.
    """
    vote, value = np.asarray(votes, np.int64), np.asarray(values, np.float64)
    weight = np.nan_to_num(np.asarray(weights, np.float64), nan=0.0)
    if (weight < 0).any():
        raise ValueError("a negative weight would count against its own answer")
    silent = (vote == NO_VOTE) | (weight == 0)
    names, classes = np.unique(np.where(silent, NO_VOTE, vote), return_inverse=True)
    worth = np.bincount(classes, value) / np.bincount(classes)
    if names[0] == NO_VOTE:
        worth[0] = 0.0
    weight = np.where(silent, 0.0, weight)
    drawn = averaged(np.concatenate([_led(classes, worth, weight, o) for o in shuffles(len(vote), draws, seed)]))
    # With one sample, or all of them, there is nothing to draw.
    value = np.r_[worth[classes].mean(), drawn.value[1:-1], _elected(classes, worth, weight)][-len(vote) :]
    return Estimate(value, np.r_[0.0, drawn.error[1:-1], 0.0][-len(vote) :])


def _led(classes: IntArray, worth: DoubleArray, weight: DoubleArray, orders: IntArray) -> DoubleArray:
    """What the leading classes are worth after each sample of each order, ``[draws, n]``.

    Only the class that just voted can catch up with the lead, so a running total suffices.
    """
    orders = np.ascontiguousarray(orders.T)  # steps first: every step is one vector over the draws
    vote, added = classes[orders], weight[orders]
    running = _running_totals(vote, added, len(worth))
    before = np.zeros_like(running)
    np.maximum.accumulate(running[:-1], axis=0, out=before[1:])
    # Totals are sums of floats: totals that differ only by rounding are a tie.
    ahead = (added > 0) & (running > before * (1 + 1e-9))
    leads = (added > 0) & (running >= before * (1 - 1e-9))
    since = np.maximum.accumulate(np.where(ahead, np.arange(len(orders))[:, None], 0), axis=0)
    if np.array_equal(leads, ahead):  # no ties, as with most scores: the last to take the lead leads alone
        return np.asarray(np.take_along_axis(worth[vote], since, axis=0).T)
    worths = _since(np.where(leads, worth[vote], 0.0), since)
    return np.asarray((worths / np.maximum(_since(leads.astype(np.float64), since), 1.0)).T)


def _running_totals(vote: IntArray, added: DoubleArray, count: int) -> DoubleArray:
    """The total of the class that votes at each step, after its vote, ``[n, draws]``."""
    totals, running, rows = np.zeros((vote.shape[1], count)), np.empty(added.shape), np.arange(vote.shape[1])
    for step in range(len(vote)):
        running[step] = totals[rows, vote[step]] + added[step]
        totals[rows, vote[step]] = running[step]
    return running


def _since(values: DoubleArray, begin: IntArray) -> DoubleArray:
    """The sum of ``values`` from step ``begin`` to each step, ``[n, draws]``."""
    sums = np.cumsum(values, axis=0)
    return np.asarray(sums - np.take_along_axis(sums - values, begin, axis=0))


def _elected(classes: IntArray, worth: DoubleArray, weight: DoubleArray) -> float:
    """What the vote of all samples is worth, with ties split."""
    totals = np.bincount(classes, weight)
    if not totals.any():
        return 0.0
    return float(worth[np.isclose(totals, totals.max(), rtol=1e-9, atol=0)].mean())


def short_at_k(
    votes: ArrayLike, values: ArrayLike, lengths: ArrayLike, m: int = 3, *, draws: int = DRAWS, seed: int = 0
) -> Estimate:
    """The value of short-m@k: of k traces run side by side, the first m to finish vote (arXiv 2505.17813).

    ``lengths`` are tokens, NaN for a trace that was cut off and never finished. Ties go to the answer with the shortest
    trace; equal lengths finish in the pool's order. With fewer than m finished traces, all of those vote. Exact for m
    up to 2 and wherever at most ``ENUMERATED`` subsets end at a rank, Monte-Carlo elsewhere. Raises ValueError for a
    pool of more than ``LARGEST_SHORT`` samples.
    """
    length = np.asarray(lengths, np.float64)
    if len(length) > LARGEST_SHORT:
        raise ValueError(f"short-m@k is made for pools of at most {LARGEST_SHORT} samples, not {len(length)}")
    order = np.argsort(length, kind="stable")
    vote = np.where(np.isnan(length), NO_VOTE, np.asarray(votes, np.int64))[order]
    value = np.asarray(values, np.float64)[order]
    n, rng = len(vote), np.random.default_rng(seed)
    result, variance = np.zeros(n), np.zeros(n)
    for voters in range(1, min(m, n) + 1):
        weights = mth_rank_weights(n, voters)
        if voters < m:  # fewer samples than voters: only the subsets of exactly this size
            weights = weights * (np.arange(1, n + 1) == voters)
        means, errors = _by_last_rank(vote, value, voters, draws, rng)
        result += means @ weights
        variance += errors**2 @ weights**2
    return Estimate(result, np.sqrt(variance))


def _by_last_rank(
    vote: IntArray, value: DoubleArray, m: int, draws: int, rng: np.random.Generator
) -> tuple[DoubleArray, DoubleArray]:
    """Mean value and its Monte-Carlo error of the vote of m samples of which the longest has rank i, ``[n]`` each."""
    n = len(vote)
    means, errors = np.zeros(n), np.zeros(n)
    for last in range(m - 1, n):
        subsets = comb(last, m - 1)
        exact = subsets <= max(ENUMERATED, n)
        if exact:
            others = np.array(list(combinations(range(last), m - 1)), np.int64).reshape(subsets, m - 1)
        else:
            others = samples_of(last, m - 1, draws, rng)
        members = np.sort(np.column_stack([others, np.full(len(others), last)]), axis=1)
        worth = _plurality(vote[members], value[members])
        means[last] = worth.mean()
        errors[last] = 0.0 if exact else worth.std(ddof=1) / np.sqrt(len(worth))
    return means, errors


def _plurality(vote: IntArray, value: DoubleArray) -> DoubleArray:
    """The value of each row's vote, ``[rows, m] -> [rows]``; ties go to the class that comes first in the row."""
    counts = (vote[:, :, None] == vote[:, None, :]).sum(axis=2)
    counts = np.where(vote == NO_VOTE, 0, counts)
    first = counts.argmax(axis=1)
    rows = np.arange(len(vote))
    return np.where(counts[rows, first] > 0, value[rows, first], 0.0)
