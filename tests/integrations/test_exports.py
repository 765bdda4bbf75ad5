"""Runs written as other programs' logs, then read back by those programs and by this one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from widthwise.cli.app import app
from widthwise.core.errors import UsageError
from widthwise.evals.store.foreign import read_generations
from widthwise.evals.store.outcome import Outcome
from widthwise.evals.store.store import Store
from widthwise.exporting import exporter_named

PROBLEMS = 6


def call(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vote over a real model's recorded samples."""
    path = tmp_path_factory.mktemp("runs") / "vote.db"
    vote = ["--strategy", "best_of_n(n=4) | majority_vote()"]
    call("eval", "recorded_gsm8k", "--limit", str(PROBLEMS), *vote, "--run", path)
    return path


@pytest.fixture(scope="module")
def outcomes(run: Path) -> list[Outcome]:
    with Store.read(run) as store:
        return list(store.outcomes())


def graded(path: Path) -> dict[str, list[tuple[str | None, bool | None]]]:
    """The traces of a run's problems: what was read from each, and whether it is right."""
    with Store.read(path) as store:
        return {o.problem.id: [(leaf.answer, leaf.correct) for leaf in o.leaves] for o in store.outcomes()}


# -- lm-evaluation-harness -------------------------------------------------------------------------------------


def test_samples_of_the_harness_have_all_traces(run: Path, outcomes: list[Outcome], tmp_path: Path) -> None:
    path = tmp_path / "samples_gsm8k_2026-01-01T00-00-00.jsonl"
    call("export", run, path, "--as", "lm_eval")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["filter"] for line in lines] == ["each"] * PROBLEMS + ["strategy"] * PROBLEMS
    settled = lines[PROBLEMS:]
    assert [line["filtered_resps"] for line in settled] == [[outcome.answer] for outcome in outcomes]
    assert [line["exact_match"] for line in settled] == [float(outcome.correct is True) for outcome in outcomes]
    found = read_generations(path)
    assert [[s.answer for s in r.samples] for r in found] == [[a for a, _ in each] for each in graded(run).values()]
    assert [r.problem.text for r in found] == [outcome.problem.text for outcome in outcomes]


def test_samples_of_the_harness_come_back_as_the_suites(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "samples_gsm8k_2026-01-01T00-00-00.jsonl"
    call("export", run, path, "--as", "lm_eval")
    call("import", path, tmp_path / "back.db", "--suite", "recorded_gsm8k")
    assert graded(tmp_path / "back.db") == graded(run)


def test_a_layout_that_there_is_not(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no layout 'lm-eval'; did you mean 'lm_eval'"):
        exporter_named("lm-eval")
    result = CliRunner().invoke(app, ["export", str(run), str(tmp_path / "a.txt"), "--as", "inspect_ai"])
    assert result.exit_code != 0
    assert not (tmp_path / "a.txt").exists()


# -- Inspect ---------------------------------------------------------------------------------------------------


def inspect_log(path: Path) -> Any:
    log = pytest.importorskip("inspect_ai.log", reason="Inspect is not installed")
    return log.read_eval_log(str(path))


@pytest.fixture(params=["eval", "json"])
def exported(run: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    pytest.importorskip("inspect_ai", reason="Inspect is not installed: pip install '.[inspect]'")
    path = tmp_path / f"log.{request.param}"
    call("export", run, path)
    return path


def test_inspect_reads_the_run(exported: Path, run: Path, outcomes: list[Outcome]) -> None:
    log = inspect_log(exported)
    assert (log.status, log.eval.task, log.eval.model) == ("success", "recorded_gsm8k", "replay:recorded_gsm8k")
    right = [outcome.correct is True for outcome in outcomes]
    assert log.results.scores[0].metrics["accuracy"].value == pytest.approx(sum(right) / PROBLEMS)
    assert [sample.scores["word_problem"].value for sample in log.samples] == ["C" if each else "I" for each in right]
    for sample, outcome in zip(log.samples, outcomes, strict=True):
        assert (sample.id, sample.input, sample.target) == (
            outcome.problem.id,
            outcome.problem.text,
            outcome.problem.answer,
        )
        assert sample.scores["word_problem"].answer == outcome.answer
        assert sample.metadata["widthwise"]["ledger"] == outcome.ledger.record
        assert sample.model_usage[log.eval.model].output_tokens == outcome.ledger.sampled
        assert outcome.answer in sample.output.completion
        assert len(sample.store["widthwise:traces"]) == len(outcome.leaves)
        assert [event.event for event in sample.events] == ["info"] * (1 + len(outcome.leaves))


def test_a_log_of_inspect_comes_back_with_every_grade(exported: Path, run: Path, tmp_path: Path) -> None:
    call("import", exported, tmp_path / "back.db")
    assert graded(tmp_path / "back.db") == graded(run)
    # The imported run has no strategy: its traces are epochs.
    call("export", tmp_path / "back.db", tmp_path / "epochs.eval")
    log = inspect_log(tmp_path / "epochs.eval")
    assert (log.eval.config.epochs, len(log.samples)) == (4, 4 * PROBLEMS)
    call("import", tmp_path / "epochs.eval", tmp_path / "again.db")
    assert graded(tmp_path / "again.db") == graded(run)


def test_a_run_that_is_not_done_says_so(exported: Path, run: Path, tmp_path: Path) -> None:
    from widthwise.core.problem import Problem

    with Store.begin(tmp_path / "open.db", {"suite": "s", "model": "m", "strategy": "x"}, [Problem("p", "?")]):
        pass
    call("export", tmp_path / "open.db", tmp_path / "open.eval")
    assert inspect_log(tmp_path / "open.eval").status == "cancelled"


def test_without_inspect_the_way_out_is_named(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("widthwise.exporting.find_spec", lambda name: None)
    with Store.read(run) as store, pytest.raises(UsageError, match=r"pip install .*\[inspect\]"):
        exporter_named("inspect_ai")(store, tmp_path / "a.eval")
