"""Resampling a population in proportion to weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
ResamplingScheme = Literal["multinomial", "systematic", "stratified", "residual"]
ScoreLink = Literal["logit", "identity", "log"]

_CLOSEST = 1e-7


def linked(scores: Doubles, link: ScoreLink) -> Doubles:
    """The input of the softmax for scores in [0, 1], which are kept 1e-7 away from both ends."""
    inside = np.clip(scores, _CLOSEST, 1 - _CLOSEST)
    if link == "identity":
        return scores
    return np.log(inside) if link == "log" else np.log(inside / (1 - inside))


def softmax(values: Doubles) -> Doubles:
    weights = np.exp(values - values.max())
    return np.asarray(weights / weights.sum())


def effective_size(weights: Doubles) -> float:
    """How many equal weights these are worth: ``1 / sum(w^2)`` for weights that sum to 1."""
    return float(1 / np.square(weights).sum())


def _by_points(weights: Doubles, points: Doubles) -> NDArray[np.int64]:
    """How many of the points, in [0, 1), fall on each weight."""
    places = np.searchsorted(np.cumsum(weights), points, side="right")
    return np.bincount(np.minimum(places, len(weights) - 1), minlength=len(weights))


def _multinomial(weights: Doubles, count: int, chance: np.random.Generator) -> NDArray[np.int64]:
    # By points, because numpy's multinomial jumps if a share crosses 1/2 in its last digit.
    return _by_points(weights, chance.random(count))


def _systematic(weights: Doubles, count: int, chance: np.random.Generator) -> NDArray[np.int64]:
    return _by_points(weights, (np.arange(count) + chance.random()) / count)


def _stratified(weights: Doubles, count: int, chance: np.random.Generator) -> NDArray[np.int64]:
    return _by_points(weights, (np.arange(count) + chance.random(count)) / count)


def _residual(weights: Doubles, count: int, chance: np.random.Generator) -> NDArray[np.int64]:
    whole = np.floor(count * weights + 1e-9).astype(np.int64)
    left = count - int(whole.sum())
    rest = np.maximum(count * weights - whole, 0)
    return whole if left <= 0 else whole + _multinomial(rest / rest.sum(), left, chance)


SCHEMES: Mapping[str, Callable[[Doubles, int, np.random.Generator], NDArray[np.int64]]] = {
    "multinomial": _multinomial,
    "systematic": _systematic,
    "stratified": _stratified,
    "residual": _residual,
}
"""By name: how many copies of each of ``weights``, which sum to 1, are in a population of ``count``. On average it is
``count * w`` copies; all schemes but the first keep closer to that (Douc, Cappé and Moulines, 2005).
"""
