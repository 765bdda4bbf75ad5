"""Areas under ROC curves, with intervals over problems."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

REPLICATES = 1000


def area(chance: NDArray[Any], label: NDArray[Any]) -> float:
    """Area under the ROC curve; ties count half."""
    positives, negatives = label.sum(), (~label).sum()
    if not positives or not negatives:
        return float("nan")
    return float((rankdata(chance)[label].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def interval(chance: NDArray[Any], label: NDArray[Any], problem: NDArray[Any]) -> list[float]:
    """The area and its 95 % interval, problems drawn with replacement."""
    rng = np.random.default_rng(0)
    places = [np.flatnonzero(problem == each) for each in np.unique(problem)]
    draws = []
    for _ in range(REPLICATES):
        drawn = np.concatenate([places[i] for i in rng.integers(0, len(places), len(places))])
        draws.append(area(chance[drawn], label[drawn]))
    return [round(float(x), 4) for x in (area(chance, label), *np.nanquantile(draws, (0.025, 0.975)))]
