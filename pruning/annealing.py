"""Levelling the weights of a population before it is resampled, so that it does not collapse early."""

from __future__ import annotations

from typing import Literal

import numpy as np

from widthwise.core.arrays import DoubleArray
from widthwise.pruning.resampling import effective_size

DiversityMeasure = Literal["ess", "entropy"]


def temperature(weights: DoubleArray, progress: float, by: DiversityMeasure = "ess") -> float:
    """The temperature of the softmax for particles of these ``weights`` after a share ``progress`` of the steps.

    Entropic annealing (Giannone et al., arXiv 2510.05825): ``N / ESS * (1 - progress)``, never below 1. With ``by``
    "entropy", the other rule of the released code: ``1 / (H + (1 - H) * progress)``, with the entropy ``H`` as a share
    of the greatest possible.
    """
    if len(weights) < 2:
        return 1.0
    if by == "ess":
        return max(1.0, len(weights) / effective_size(weights) * (1 - progress))
    share = entropy(weights) / float(np.log(len(weights)))
    return max(1.0, 1 / max(share + (1 - share) * progress, 1e-7))


def entropy(weights: DoubleArray) -> float:
    """The entropy of weights that sum to 1, in nats."""
    inside = np.clip(weights, 1e-7, 1.0)
    return float(-(inside * np.log(inside)).sum())
