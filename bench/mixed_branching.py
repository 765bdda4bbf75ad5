"""What AB-MCTS-M predicts, by our grid and by treequest's PyMC model, and what one decision costs.

The predictions of both for three children and a new one: quantiles, and the largest distance between the two
distributions (Kolmogorov-Smirnov). Needs `pip install "treequest[abmcts-m]"`, which is no dependency of ours.

    python bench/mixed_branching.py [--draws 2000] [--json]
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
from scipy import stats

import widthwise as ww

GROUPS = [[0.2, 0.4, 0.35], [0.8], [0.5, 0.6, 0.9, 0.7]]
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def theirs() -> tuple[list[Any], float]:
    """All predicted scores, by child and for a new one, and how many seconds they took."""
    from treequest.algos.ab_mcts_m.pymc_interface import Observation, PyMCInterface

    class Keeping(PyMCInterface):
        def get_score(self, arr: Any) -> float:
            predicted.append(np.asarray(arr.values).ravel())
            return 0.0

    predicted: list[Any] = []
    given = [Observation(score, "a", 10 * i + j, i) for i, group in enumerate(GROUPS) for j, score in enumerate(group)]
    model, began = Keeping(), time.perf_counter()
    model.calculate_score(given, None)
    return predicted, time.perf_counter() - began


def ours(draws: int) -> tuple[Any, float]:
    """Predicted scores ``float64 [draws, children + 1]``, and how many seconds one draw took."""
    policy, chance = ww.MixedBranching(), np.random.default_rng(0)
    sums = [(len(group), sum(group), sum(score**2 for score in group)) for group in GROUPS]
    began = time.perf_counter()
    drawn = np.array([policy.predicted(sums, chance) for _ in range(draws)])
    return drawn, (time.perf_counter() - began) / draws


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    drawn, each = ours(arguments.draws)
    sampled, took = theirs()
    rows = [
        {
            "child": "new" if j == len(GROUPS) else str(j),
            "ours": np.quantile(drawn[:, j], QUANTILES).round(3).tolist(),
            "treequest": np.quantile(values, QUANTILES).round(3).tolist(),
            "distance": round(float(stats.ks_2samp(values, drawn[:, j]).statistic), 4),
        }
        for j, values in enumerate(sampled)
    ]
    found = {"seconds of a decision": {"ours": each, "treequest": took}, "predictions": rows}
    print(json.dumps(found) if arguments.json else json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
