"""Runs with a reward model, from the command line and from Python: what is stored, resumed, refused and replayed."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import widthwise as ww
from tests.backends.llama_checkpoint import Shape, write_checkpoint, write_tokenizer
from widthwise.cli.app import app
from widthwise.core.problem import Problem
from widthwise.core.rewards.reward import Solution, StepScores
from widthwise.core.run_sync import run_sync
from widthwise.engines import open_embedder, open_engines, open_reward_model
from widthwise.evals.store.store import Store, compare
from widthwise.settings import RunSettings

BEST = "best_of_n(n=4) | best_by(score='reward_model:min')"


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with the scorer's vocabulary and random weights: it judges badly, but the same way as a scorer."""
    folder = write_checkpoint(tmp_path_factory.mktemp("models") / "scorer", Shape(max_len=4096), seed=3)
    write_tokenizer(folder, user_defined_symbols=["<user>", "<assistant>", "<step>", "+", "-"])
    return folder


def evaluated(run: Path, *arguments: str, code: int = 0) -> str:
    command = ["eval", "arithmetic", "--limit", "3", "--strategy", BEST, "--max-tokens", "120", "--run", str(run)]
    done = CliRunner().invoke(app, [*command, *arguments])
    assert done.exit_code == code, done.output
    return " ".join(done.output.split())


def test_a_run_is_scored_and_everything_about_it_is_kept(tmp_path: Path, scorer: Path) -> None:
    run = tmp_path / "run.db"
    evaluated(run, "--reward-model", f"embedded:{scorer}")
    with Store.read(run) as store:
        configuration, about = store.manifest["configuration"], store.manifest["reward_model"]
        assert configuration["reward_model"] == f"embedded:{scorer}"
        assert (about["kind"], about["format"], len(about["model_digest"])) == ("process", "scorer", 64)
        for outcome in store.outcomes():
            texts = {t.id: t.completion for t in store.traces(outcome.problem.id)}
            scores = store.scores(outcome.problem.id)
            assert {trace for trace, _ in scores} <= set(texts)
            for trace, said in scores:
                assert said.steps is not None
                assert len(said.steps) == len(re.findall(r"[^\n]+(?:\n\n|$)", texts[trace]))
                assert all(0 < score < 1 for score in said.steps)
            assert outcome.ledger.scoring == sum(said.tokens for _, said in scores) > 0


def test_the_same_run_twice_is_the_same_and_at_any_concurrency(tmp_path: Path, scorer: Path) -> None:
    for name, concurrency in (("a", "1"), ("b", "8")):
        evaluated(tmp_path / f"{name}.db", "--reward-model", str(scorer), "--concurrency", concurrency)
    with Store.read(tmp_path / "a.db") as a, Store.read(tmp_path / "b.db") as b:
        assert compare(a, b) == []


def test_a_run_goes_on_only_with_the_reward_model_it_was_begun_with(tmp_path: Path, scorer: Path) -> None:
    run = tmp_path / "run.db"
    evaluated(run, "--reward-model", f"embedded:{scorer}")
    other = write_checkpoint(tmp_path / "scorer", Shape(max_len=4096), seed=4)
    assert "reward_model" in evaluated(run, "--reward-model", f"embedded:{other}", code=2)
    assert "reward_args" in evaluated(run, "--reward-model", str(scorer), "--reward-arg", "format=scorer", code=2)
    assert "reward_model" in evaluated(run, code=2)
    evaluated(run, "--reward-model", str(scorer))  # the same, spelled shorter: already finished


def test_other_weights_under_the_same_name_are_refused(tmp_path: Path, scorer: Path) -> None:
    with Store.begin(tmp_path / "run.db", {}, []) as store:
        store.note({"reward_model": {"model_digest": "a" * 64}})
        with pytest.raises(ww.UsageError, match="other weights of the same reward model"):
            store.note({"reward_model": {"model_digest": "b" * 64}})


@pytest.mark.slow
def test_recorded_scores_are_served_to_another_run(tmp_path: Path, scorer: Path) -> None:
    run = tmp_path / "run.db"
    first = json.loads(evaluated(run, "--reward-model", str(scorer), "--json"))
    replayed = ["--model", f"replay:{run}", "--reward-model", f"replay:{run}", "--json"]
    again = json.loads(evaluated(tmp_path / "again.db", *replayed))
    assert again["accuracy"] == first["accuracy"]
    with Store.read(run) as a, Store.read(tmp_path / "again.db") as b:
        for x, y in zip(a.outcomes(), b.outcomes(), strict=True):
            assert x.answer == y.answer
            assert [s.steps for _, s in a.scores(x.problem.id)] == [s.steps for _, s in b.scores(y.problem.id)]


@pytest.mark.slow
def test_a_run_that_was_killed_behind_its_scores_ends_alike(tmp_path: Path, scorer: Path) -> None:
    """Scores from before the end of a problem are reused, missing ones are computed; both are paid for once."""
    whole, broken = tmp_path / "whole.db", tmp_path / "broken.db"
    evaluated(whole, "--reward-model", str(scorer))
    shutil.copy(whole, broken)
    db = sqlite3.connect(broken)
    first, second, _ = [row[0] for row in db.execute("SELECT id FROM problems ORDER BY position")]
    for table in ("answers", "traces", "ledgers"):
        db.execute(f"DELETE FROM {table} WHERE problem IN (?, ?)", (first, second))
    db.execute("DELETE FROM scores WHERE problem = ?", (second,))
    db.execute("UPDATE problems SET state = 'open', fields = '{}' WHERE id IN (?, ?)", (first, second))
    db.commit()
    db.close()
    evaluated(broken, "--reward-model", str(scorer))
    with Store.read(whole) as a, Store.read(broken) as b:
        assert compare(a, b) == []


def test_a_run_file_of_the_first_release_has_no_scores(tmp_path: Path) -> None:
    run = tmp_path / "run.db"
    command = ["eval", "arithmetic", "--limit", "1", "--max-tokens", "20", "--run", str(run)]
    assert CliRunner().invoke(app, command).exit_code == 0
    db = sqlite3.connect(run)
    db.execute("DROP TABLE scores")
    db.commit()
    db.close()
    with Store.read(run) as store:
        (outcome,) = store.outcomes()
        assert store.scores(outcome.problem.id) == []
        assert len(list(store.dump())) > 3
    assert CliRunner().invoke(app, command).exit_code == 0


def test_a_solution_that_was_not_recorded_is_unscored(tmp_path: Path, scorer: Path) -> None:
    run = tmp_path / "run.db"
    evaluated(run, "--reward-model", str(scorer))

    async def score() -> StepScores:
        model = await open_reward_model(f"replay:{run}")
        return (await model.score(Problem("nobody", "?"), [Solution(("a",))]))[0]

    assert "has no scores for this solution" in str(run_sync(score()).error)


def test_the_shipped_generator_is_no_scorer(tmp_path: Path) -> None:
    assert "name its format" in evaluated(tmp_path / "run.db", "--reward-model", "embedded:reasoner", code=2)
    arguments = ["--reward-model", "embedded:nowhere/scorer"]
    assert "there is no folder" in evaluated(tmp_path / "run.db", *arguments, code=1)
    assert "unknown model 'embeded:x'" in evaluated(tmp_path / "run.db", "--reward-model", "embeded:x", code=2)
    assert not (tmp_path / "run.db").exists()


def test_a_broken_reward_model_fails_no_problem_but_says_so(tmp_path: Path) -> None:
    class Broken:
        name, kind = "broken", "process"

        async def score(self, problem: Problem, solutions: Sequence[Solution]) -> list[StepScores]:
            return [StepScores((float("nan"),) * len(s.steps)) for s in solutions]

    result = ww.solve("Compute 17 + 5.", BEST, reward_model=Broken(), max_tokens=60)
    assert len(result.traces) == 4
    assert result.answer is None
    assert any("NaN" in error for error in result.errors)


def test_a_reward_model_by_name_from_python(scorer: Path) -> None:
    result = ww.solve("Compute 17 + 5.", BEST, reward_model=str(scorer), max_tokens=60)
    assert result.ledger.scoring > 0
    assert not result.errors


async def test_embeddings_through_the_session() -> None:
    seen: list[Any] = []

    async def distances(session: ww.Session) -> str:
        traces = await session.sample(session.root, 3, max_tokens=40)
        seen.append(await session.embed([t.completion for t in traces]))
        return "1"

    result = await ww.solve_async("Compute 17 + 5.", distances)
    assert seen[0].shape == (3, 128)
    assert np.allclose(np.linalg.norm(seen[0], axis=1), 1, atol=1e-5)
    assert result.ledger.embedding > 3


async def test_an_embedding_model_of_its_own(scorer: Path) -> None:
    engines = await open_engines(RunSettings(embedding_model=f"embedded:{scorer}"))
    assert engines.embedder is not None
    assert engines.embedder.name == f"embedded:{scorer}"
    assert engines.about["embedding_model"]["backend"] == "embedded"
    await engines.close()
    with pytest.raises(ww.UsageError, match="a recording has no embeddings"):
        await open_embedder("replay:x.db")


def test_a_sweep_scores_too(tmp_path: Path, scorer: Path) -> None:
    swept = ww.sweep(
        ["best_of_n | best_by(score='reward_model')", "best_of_n | majority_vote()"], ["arithmetic"], [1, 2],
        folder=tmp_path, limit=2, reward_model=str(scorer), max_tokens=200,
    )  # fmt: skip
    scored = 0
    for run in swept.runs:
        with Store.read(run) as store:
            scored += sum(outcome.ledger.scoring > 0 for outcome in store.outcomes())
    assert scored == 2  # one run, with two samples per problem, serves both budgets and both strategies
    assert len(swept.runs) == 1


def test_an_open_model_stays_open(scorer: Path) -> None:
    async def twice() -> list[str | None]:
        model = await open_reward_model(str(scorer))
        results = [await ww.solve_async("Compute 1 + 1.", BEST, reward_model=model, max_tokens=40) for _ in range(2)]
        return [error for result in results for error in result.errors]

    assert asyncio.run(twice()) == []


def test_a_judge_that_states_its_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stating.py").write_text(
        "from tests.core.scripted import Replying\n"
        "def judge():\n"
        "    return Replying(lambda prompt, index: 'Score: 9' if len(prompt) % 2 else 'I cannot tell.')\n"
    )
    monkeypatch.chdir(tmp_path)
    run, judge = tmp_path / "run.db", ("--reward-model", "stating:judge", "--reward-arg", "format=stated")
    shown = evaluated(run, *judge)
    assert "errors" not in shown
    with Store.read(run) as store:
        about = store.manifest["reward_model"]
        assert (about["format"], about["kind"], about["samples"], about["tokens"]) == ("stated", "outcome", 1, 4096)
        said = [s for outcome in store.outcomes() for _, s in store.scores(outcome.problem.id)]
        assert {s.steps for s in said} == {(0.9,), None}
        assert all(outcome.state == "done" for outcome in store.outcomes())
    assert "tokens of a judge" in evaluated(tmp_path / "b.db", *judge, "--reward-arg", "tokens=none", code=2)
