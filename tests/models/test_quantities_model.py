"""The bundled model for `quantities`: it solves, scores on request, and answers where no model is named."""

import asyncio
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import widthwise as ww
from widthwise.core.problem import Problem
from widthwise.core.rewards.reward import Solution
from widthwise.engines import open_reward_model
from widthwise.evals.suites.quantity_steps import QuantityPlan
from widthwise.evals.suites.quantity_system import QuantitySystem
from widthwise.opening import open_backend

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "models" / "quantities"
sys.path.append(str(ROOT / "scripts"))
areas = importlib.import_module("areas")
attempts = importlib.import_module("attempts")
labels = importlib.import_module("labels")
quantity_attempts = importlib.import_module("quantity_attempts")
SEED = 94
LEVELS = (2, 9)


@pytest.fixture(scope="module")
def attempted() -> list[Any]:
    """Four answers to each of thirty held-out problems of the lower half of the levels."""

    async def drawn() -> list[Any]:
        backend = await open_backend("quantities")
        try:
            tasks = [task for task, _ in quantity_attempts.tests(30, SEED, LEVELS)]
            texts = await asyncio.gather(*(attempts.draw(backend, task, 4, i) for i, task in enumerate(tasks)))
        finally:
            await backend.close()
        return [attempts.Attempted(task, "", found) for task, found in zip(tasks, texts, strict=True)]

    return asyncio.run(drawn())


def test_it_plans_and_most_short_problems_come_out_right(attempted: list[Any]) -> None:
    texts = [(each.task, text) for each in attempted for text in each.texts]
    right = [attempts.is_right(task, text) for task, text in texts]
    assert 0.4 < np.mean(right) < 1, "real skill and real mistakes"
    plans = [QuantityPlan.read(labels.steps_of(text)[0]) for _, text in texts]
    planned = [plan == QuantityPlan.of(task.system) for plan, (task, _) in zip(plans, texts, strict=True)]
    assert np.mean(planned) > 0.6
    first = [tuple(labels.steps_of(text)[:2]) for each in attempted for text in each.texts]
    assert len(set(first)) > len(first) / 2, "samples begin differently"


async def scores_of(some: list[Any]) -> list[tuple[float, bool]]:
    """The scores and labels of every attempt's steps, computed on the path that strategies use."""
    model = await open_reward_model("quantities")
    try:
        found = []
        for each in some:
            steps = [labels.steps_of(text) for text in each.texts]
            scores = await model.score(Problem(each.task.key, each.task.question), [Solution(tuple(s)) for s in steps])
            for one, said in zip(steps, scores, strict=True):
                found += list(zip(said.steps, labels.step_labels(each.task, one), strict=True))
        return found
    finally:
        await model.close()


def test_its_scores_tell_right_steps_from_wrong_ones(attempted: list[Any]) -> None:
    pairs = asyncio.run(scores_of(attempted))
    assert len(pairs) > 300
    assert areas.area(np.array([p for p, _ in pairs]), np.array([right for _, right in pairs])) > 0.85


def test_it_answers_where_no_model_is_named(tmp_path: Path) -> None:
    run = ww.evaluate("single()", "quantities(levels=2, n=6)", run=tmp_path / "run.db")
    assert run.summary.accuracy > 0.5
    assert json.loads((FOLDER / "config.json").read_text())["widthwise_profile"] == "quantities"


def test_threads_work_out_independent_parts_side_by_side() -> None:
    text = "A = 3; B = 4; C = A + 5; D = B + 6; E = C + D. E?"
    spawned = ww.solve(text, "threads(width=4)", model="quantities")
    assert spawned.answer == str(QuantitySystem.read(text).answer)
    assert spawned.ledger.sequential < spawned.ledger.sampled


def test_rstar_asks_it_for_the_moves_of_a_human_solver() -> None:
    settings = "rollouts=2, steps=1, asked=1, votes=1, solutions=2, depth=2"
    searched = ww.solve("A = 3; B = A + 4; C = B * 2. C?", f"rstar({settings})", model="quantities")
    assert searched.answer == "14"
    assert any(trace.metadata.get("score", 0) > 0 for trace in searched.traces)
    assert searched.ledger.judging > 0, "steps, sub-questions with their answers, the problem rephrased"
