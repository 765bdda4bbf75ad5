"""Resampling a population in proportion to weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from widthwise.core.arrays import DoubleArray, IntArray

ResamplingScheme = Literal["multinomial", "systematic", "stratified", "residual"]
ScoreLink = Literal["logit", "identity", "log"]

_CLOSEST = 1e-7


def linked(scores: DoubleArray, link: ScoreLink) -> DoubleArray:
    """The input of the softmax for scores in [0, 1], which are kept 1e-7 away from both ends."""
    inside = np.clip(scores, _CLOSEST, 1 - _CLOSEST)
    if link == "identity":
        return scores
    return np.log(inside) if link == "log" else np.log(inside / (1 - inside))


def softmax(values: DoubleArray) -> DoubleArray:
    weights = np.exp(values - values.max())
    return np.asarray(weights / weights.sum())


def effective_size(weights: DoubleArray) -> float:
    """How many equal weights these are worth: ``1 / sum(w^2)`` for weights that sum to 1."""
    return float(1 / np.square(weights).sum())


def _by_points(weights: DoubleArray, points: DoubleArray) -> IntArray:
    """How many of the points, in [0, 1), fall on each weight."""
    places = np.searchsorted(np.cumsum(weights), points, side="right")
    return np.bincount(np.minimum(places, len(weights) - 1), minlength=len(weights))


def _multinomial(weights: DoubleArray, count: int, chance: np.random.Generator) -> IntArray:
    # By points, because numpy's multinomial jumps if a share crosses 1/2 in its last digit.
    return _by_points(weights, chance.random(count))


def _systematic(weights: DoubleArray, count: int, chance: np.random.Generator) -> IntArray:
    return _by_points(weights, (np.arange(count) + chance.random()) / count)


def _stratified(weights: DoubleArray, count: int, chance: np.random.Generator) -> IntArray:
    return _by_points(weights, (np.arange(count) + chance.random(count)) / count)


def _residual(weights: DoubleArray, count: int, chance: np.random.Generator) -> IntArray:
    whole = np.floor(count * weights + 1e-9).astype(np.int64)
    left = count - int(whole.sum())
    rest = np.maximum(count * weights - whole, 0)
    return whole if left <= 0 else whole + _multinomial(rest / rest.sum(), left, chance)


SCHEMES: Mapping[str, Callable[[DoubleArray, int, np.random.Generator], IntArray]] = {
    "multinomial": _multinomial,
    "systematic": _systematic,
    "stratified": _stratified,
    "residual": _residual,
}
"""By name: how many copies of each of ``weights``, which sum to 1, are in a population of ``count``. On average it is
``count * w`` copies; all schemes but the first keep closer to that (Douc, Cappé and Moulines, 2005).
"""
