"""The vote of the samples with the highest scores among k, at every k up to n."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from widthwise.core.arrays import DoubleArray, IntArray
from widthwise.evals.measure.estimators import NO_VOTE
from widthwise.evals.measure.subsets import Estimate, averaged, shuffles

_DRAWS = 250
"""Orders a pool: each sorts every prefix, and the mean over a suite's problems evens out what few orders leave."""


def top_vote_at_k(
    votes: ArrayLike, values: ArrayLike, scores: ArrayLike, weights: ArrayLike, top: float, *, seed: int = 0
) -> Estimate:
    """The value of a weighted vote of the share ``top`` of k samples with the highest ``scores``, over random subsets.

    All arrays are ``[n]``; ``votes`` are answer classes, a class is worth the mean ``values`` of its samples. A sample
    without a class or a score (NaN) does not vote, and is none of the share. Ties are split.
    """
    vote, value = np.asarray(votes, np.int64), np.asarray(values, np.float64)
    score = np.where(vote == NO_VOTE, np.nan, np.asarray(scores, np.float64))
    names, classes = np.unique(np.where(np.isnan(score), NO_VOTE, vote), return_inverse=True)
    worth = np.bincount(classes, value) / np.bincount(classes)
    if names[0] == NO_VOTE:
        worth[0] = 0.0
    weight = np.nan_to_num(np.asarray(weights, np.float64), nan=0.0)
    orders = np.concatenate(list(shuffles(len(vote), _DRAWS, seed)))
    drawn = [_elected(classes[o], worth, score[o], weight[o], top) for o in _prefixes(orders)]
    return averaged(np.stack(drawn, axis=1))


def _prefixes(orders: IntArray) -> list[IntArray]:
    return [orders[:, :k] for k in range(1, orders.shape[1] + 1)]


def _elected(classes: IntArray, worth: DoubleArray, score: DoubleArray, weight: DoubleArray, top: float) -> DoubleArray:
    """What the heaviest classes of each row are worth, ``[rows, k] -> [rows]``."""
    counted = np.where(_among_highest(score, top), weight, 0.0)
    rows = np.arange(len(classes))[:, None]
    totals = np.bincount((rows * len(worth) + classes).ravel(), counted.ravel(), len(classes) * len(worth))
    totals = totals.reshape(len(classes), len(worth))
    heaviest = totals.max(axis=1, keepdims=True)
    leads = (totals > 0) & np.isclose(totals, heaviest, rtol=1e-9, atol=0)
    return np.asarray((leads * worth).sum(axis=1) / np.maximum(leads.sum(axis=1), 1))


def _among_highest(score: DoubleArray, top: float) -> NDArray[np.bool_]:
    """Which scores of each row reach its quantile 1 - ``top``, as ``numpy.quantile`` interpolates; NaN is left out."""
    rising = np.sort(score, axis=1)  # what is not known stands at the end
    place = (1 - top) * np.maximum((~np.isnan(score)).sum(axis=1) - 1, 0)
    below = np.floor(place).astype(np.int64)
    rows, part = np.arange(len(score)), place - below
    low, high = rising[rows, below], rising[rows, np.ceil(place).astype(np.int64)]
    least = np.where(part < 0.5, low + (high - low) * part, high - (high - low) * (1 - part))
    return np.asarray(score >= least[:, None])
