"""The estimators reproduce the shared recordings' reference figures to the digit."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from widthwise.core.arrays import DoubleArray, IntArray
from widthwise.evals.measure.estimators import NO_VOTE, best_at_k, pass_at_k, weighted_vote_at_k
from widthwise.evals.measure.majority import maj_at_k

SHARED = Path(os.environ.get("WIDTHWISE_SHARED", Path(__file__).resolve().parents[3] / "shared"))
TRACES = SHARED / "data" / "traces"

pytestmark = pytest.mark.skipif(
    not TRACES.is_dir(), reason="the shared recordings are not here (WIDTHWISE_SHARED names their folder)"
)

PASS = {
    "math_cot_100": (88.00, {2: 91.57, 4: 95.23, 8: 98.00}, 90.00),
    "math500x16_r1-distill-llama-8b": (81.00, {2: 90.40, 4: 93.80, 8: 94.98, 16: 96.00}, 94.00),
    "aime2025_reasoning_models": (48.89, {2: 65.33, 4: 79.11}, 66.67),
    "olympiadbench200_qwen2.5-7b": (42.75, {2: 52.96, 4: 61.19, 8: 66.00}, 56.00),
    "otis_mock_aime__phi-4": (15.49, {2: 20.62, 4: 26.12, 8: 32.00, 16: 39.13}, 17.39),
    "otis_mock_aime__qwen2.5-72b-instruct": (10.60, {2: 15.54, 4: 21.07, 8: 26.59, 16: 30.43}, 17.39),
    "otis_mock_aime__claude-3.7-sonnet": (24.46, {2: 32.83, 4: 41.55, 8: 50.17, 16: 56.52}, 34.78),
    "otis_mock_aime__gemini-2.0-flash": (38.32, {2: 40.14, 4: 41.30, 8: 43.48, 16: 47.83}, 39.13),
    "otis_mock_aime__o3-mini-medium": (67.93, {2: 75.29, 4: 82.09, 8: 87.51, 16: 91.30}, 73.91),
    "otis_mock_aime__deepseek-v3-0324": (43.48, {2: 48.60, 4: 53.29, 8: 56.52}, 52.17),
    "otis_mock_aime__gpt-4.1": (44.57, {2: 51.40, 4: 55.59, 8: 56.52}, 56.52),
    "otis_mock_aime__o4-mini": (84.78, {2: 90.99, 4: 94.60, 8: 95.65}, 91.30),
    "game24_cot": (4.20, {2: 7.42, 4: 12.19, 8: 18.51, 16: 26.01, 32: 34.25, 64: 42.66, 100: 48.00}, 10.00),
    "game24_io": (6.18, {2: 8.67, 4: 10.98, 8: 13.26, 16: 16.23, 32: 20.63, 64: 26.25, 100: 30.00}, 8.00),
    "gsm8k_example_solutions": (37.35, {2: 52.10, 4: 66.52}, 41.67),
}


@cache
def rows(name: str) -> tuple[dict[str, Any], ...]:
    with (TRACES / f"{name}.jsonl").open(encoding="utf-8") as file:
        return tuple(json.loads(line) for line in file)


def graded(row: dict[str, Any]) -> tuple[IntArray, DoubleArray]:
    """Votes by answer string, numbered in order of first appearance, and their values."""
    names: dict[str, int] = {}
    votes = [
        names.setdefault(s["answer"], len(names)) if s.get("answer") is not None else NO_VOTE for s in row["samples"]
    ]
    return np.array(votes), np.array([float(s["correct"]) for s in row["samples"]])


def first_in_order(votes: IntArray, values: DoubleArray) -> tuple[float, bool]:
    """The vote of all samples (a tie goes to the answer that appears first), and whether there was a tie."""
    counts = np.bincount(votes[votes != NO_VOTE], minlength=1)
    if not counts.any():
        return 0.0, False
    return float(values[votes == counts.argmax()][0]), bool((counts == counts.max()).sum() > 1)


@pytest.mark.parametrize("name", PASS)
def test_pass_at_k(name: str) -> None:
    mean, by_k, _ = PASS[name]
    curve = 100 * pass_at_k([graded(row)[1] for row in rows(name)]).mean(axis=0)
    assert round(curve[0], 2) == mean
    assert {k: round(curve[k - 1], 2) for k in by_k} == by_k


@pytest.mark.parametrize("name", PASS)
def test_maj_at_n_is_the_vote(name: str) -> None:
    votes = [first_in_order(*graded(row)) for row in rows(name)]
    assert round(100 * float(np.mean([right for right, _ in votes])), 2) == PASS[name][2]
    for row, (right, tied) in zip(rows(name), votes, strict=True):
        if not tied:
            assert maj_at_k(*graded(row)).value[-1] == pytest.approx(right, abs=1e-9)


def test_highest_reward_of_8() -> None:
    curves = [best_at_k(graded(r)[1], [s["reward"] for s in r["samples"]]) for r in rows("math_cot_100")]
    assert round(100 * np.mean(curves, axis=0)[-1], 2) == 94.00


def test_perplexity_chooses_and_weighs() -> None:
    name = "math500x16_r1-distill-llama-8b"
    ppl = [np.array([s["mean_ppl"] for s in row["samples"]]) for row in rows(name)]
    values = [graded(row) for row in rows(name)]
    lowest = [best_at_k(v, -p)[-1] for (_, v), p in zip(values, ppl, strict=True)]
    weighted = [weighted_vote_at_k(c, v, 1 / p, draws=2).value[-1] for (c, v), p in zip(values, ppl, strict=True)]
    assert round(100 * float(np.mean(lowest)), 2) == 66.00
    assert round(100 * float(np.mean(weighted)), 2) == 94.00
