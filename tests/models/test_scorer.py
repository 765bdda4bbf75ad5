"""The bundled process reward model: its scores of real attempts, which are the same on every path."""

import asyncio
import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece

from widthwise.core.problem import Problem
from widthwise.core.rewards.reward import Solution
from widthwise.engines import open_reward_model
from widthwise.evals.suites import arithmetic, countdown
from widthwise.evals.suites.holdout import held_out
from widthwise.opening import open_backend

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts"))
areas = importlib.import_module("areas")
attempts = importlib.import_module("attempts")
labels = importlib.import_module("labels")
SEED = 93


@pytest.fixture(scope="module")
def attempted() -> list[Any]:
    """The bundled reasoner's answers to forty held-out problems of each task, four samples each."""

    async def drawn() -> list[Any]:
        backend = await open_backend("embedded:reasoner")
        try:
            tasks = [task for task, _ in attempts.tests(40, SEED)]
            texts = await asyncio.gather(*(attempts.draw(backend, task, 4, i) for i, task in enumerate(tasks)))
        finally:
            await backend.close()
        return [attempts.Attempted(task, "", found) for task, found in zip(tasks, texts, strict=True)]

    return asyncio.run(drawn())


def scored(some: list[Any]) -> list[list[tuple[float, bool]]]:
    """The scores and labels of every attempt's steps, computed on the path that strategies use."""

    async def ask() -> list[list[tuple[float, bool]]]:
        model = await open_reward_model("scorer")
        try:
            found = []
            for each in some:
                steps = [labels.steps_of(text) for text in each.texts]
                problem = Problem(each.task.key, each.task.question)
                scores = await model.score(problem, [Solution(tuple(one)) for one in steps])
                for one, said in zip(steps, scores, strict=True):
                    found.append(list(zip(said.steps, labels.step_labels(each.task, one), strict=True)))
            return found
        finally:
            await model.close()

    return asyncio.run(ask())


def area(pairs: list[tuple[float, bool]]) -> float:
    return float(areas.area(np.array([p for p, _ in pairs]), np.array([right for _, right in pairs])))


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [False, True], ids=["arithmetic", "countdown"])
def test_right_steps_stand_above_wrong_ones(attempted: list[Any], numbers: bool) -> None:
    some = [each for each in attempted if bool(each.task.numbers) == numbers]
    pairs = [pair for solution in scored(some) for pair in solution]
    assert len(pairs) > 300
    assert {right for _, right in pairs} == {True, False}
    assert all(0 <= score <= 1 for score, _ in pairs)
    assert area(pairs) > 0.9


def test_the_problems_of_these_tests_are_held_out() -> None:
    assert all(held_out(arithmetic.key(p.text.removeprefix("Compute ")[:-1])) for p in arithmetic.generate(40, SEED))
    for problem in countdown.generate(40, SEED):
        assert held_out(countdown.key(problem.metadata["numbers"], problem.metadata["target"]))


def test_the_scores_are_those_of_the_plain_forward_pass(torch: Any, attempted: list[Any]) -> None:
    measuring, scoring = importlib.import_module("eval_labels"), importlib.import_module("scorer_data")
    folder = ROOT / "models" / "scorer"
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    for each in attempted[:3] + attempted[-3:]:
        text = each.texts[0]
        rows = list(scoring.rows(attempts.Attempted(each.task, "", (text,)), tokenizer))
        corpus = importlib.import_module("documents").Corpus.of(rows)
        pair = [tokenizer.piece_to_id(label) for label in scoring.LABELS]
        expected, _, _ = measuring.predictions(measuring.load(folder), corpus, pair)
        ((*found,),) = scored([attempts.Attempted(each.task, "", (text,))])
        assert np.abs(expected - [score for score, _ in found]).max() < 1e-4


def test_the_shipped_models_fit_in_ten_megabytes_together() -> None:
    folders = [path for path in (ROOT / "models").iterdir() if (path / "config.json").exists()]
    assert {folder.name for folder in folders} == {"quantities", "reasoner", "scorer"}
    assert sum((folder / "model.safetensors").stat().st_size for folder in folders) <= 10_000_000
    assert all((folder / "README.md").read_text().strip() for folder in folders)
