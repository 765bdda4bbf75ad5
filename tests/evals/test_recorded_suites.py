"""The bundled recordings of a real model: problems, samples, and what the documents say about them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from widthwise.cli.app import app
from widthwise.evals.store.recording_rows import read_recordings
from widthwise.evals.suites.hub import BENCHMARKS
from widthwise.evals.suites.suites import load_suite
from widthwise.evaluation import Evaluation
from widthwise.settings import RunSettings

ROOT = Path(__file__).parents[2]
SUITES = {"recorded_gsm8k": (40, 16), "recorded_math": (20, 8)}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def evaluated(suite: str, *arguments: str) -> dict[str, object]:
    result = CliRunner().invoke(app, ["eval", suite, *arguments, "--json"])
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


@pytest.mark.parametrize("name", SUITES)
def test_every_sample_has_its_likeliest_tokens(name: str) -> None:
    problems, n = SUITES[name]
    recordings = read_recordings(BENCHMARKS[name].file)
    assert [len(recording.samples) for recording in recordings] == [n] * problems
    assert BENCHMARKS[name].size == problems
    for sample in (sample for recording in recordings for sample in recording.samples):
        assert sample.stats is not None
        assert sample.stats.top_logprobs is not None
        assert sample.stats.top_logprobs.shape[1] == 20
        assert np.isfinite(sample.stats.logprobs).all()
        assert (np.diff(sample.stats.top_logprobs) <= 0).all()
        assert sample.finish in ("stop", "length")


@pytest.mark.parametrize("name", SUITES)
def test_model_and_licences_are_named(name: str) -> None:
    notice = (BENCHMARKS[name].file.parent / "NOTICE.md").read_text("utf-8")
    for recording in read_recordings(BENCHMARKS[name].file):
        assert recording.fields["model"] == "Qwen/Qwen2.5-Coder-1.5B-Instruct"
        assert "Apache-2.0" in recording.fields["model_licence"]
        assert recording.fields["licence"].partition(", ")[2].removeprefix("MIT License, ") in notice


@pytest.mark.parametrize("name", SUITES)
def test_the_figure_of_the_documents_is_what_the_command_prints(name: str) -> None:
    n = SUITES[name][1]
    said = evaluated(name, "--strategy", f"best_of_n(n={n}) | majority_vote()")
    [row] = re.findall(rf"\| {name} \| majority vote of {n} \| ([\d.]+) % \|", (ROOT / "docs/measured.md").read_text())
    assert f"{100 * float(str(said['accuracy'])):.1f}" == row


def test_the_recording_answers_only_where_no_model_is_named() -> None:
    suite = load_suite("recorded_gsm8k", limit=3)
    assert suite.model == "replay:recorded_gsm8k"
    assert Evaluation.of(suite, RunSettings.of()).configuration["model"] == "replay:recorded_gsm8k"
    assert Evaluation.of(suite, RunSettings.of(model="reasoner")).configuration["model"] == "embedded:reasoner"
    assert Evaluation.of(load_suite("arithmetic"), RunSettings.of()).configuration["model"] == "embedded:reasoner"


def test_confidence_stops_recorded_traces() -> None:
    said = evaluated(
        *("recorded_gsm8k", "--limit", "4", "--strategy"),
        "best_of_n(n=16) | deepconf(warmup=4, window=64) | weighted_vote(by='tail_confidence')",
    )
    assert said["problems"] == 4
    whole = evaluated("recorded_gsm8k", "--limit", "4", "--strategy", "best_of_n(n=16) | majority_vote()")
    assert 0 < tokens(said) < tokens(whole)


def tokens(summary: dict[str, object]) -> int:
    spent = summary["tokens"]
    assert isinstance(spent, dict)
    return int(spent["sampled"])


def test_values_without_ids_say_that_the_ids_are_not_known(tmp_path: Path) -> None:
    sample = {"text": "ab", "token_ends": [1, 2], "logprobs": [-1.0, -2.0], "top_logprobs": [[-1.0], [-2.0]]}
    row = {"problem_id": "p", "problem": "?", "answer": "1", "samples": [sample]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    [recording] = read_recordings(tmp_path / "a.jsonl")
    stats = recording.samples[0].stats
    assert stats is not None
    assert stats.top_ids is not None
    assert stats.top_ids.tolist() == [[-1], [-1]]
