"""Everything that an evaluation leaves out or replaces is logged."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.evals.made_runs import made_run
from tests.evals.test_foreign import harness, jsonl
from widthwise.evals.measure.curves import curve
from widthwise.evals.measure.equal_budgets import shared_axis
from widthwise.evals.store.exchange import stored_recordings
from widthwise.evals.store.foreign import read_generations
from widthwise.evals.store.store import Store


@pytest.fixture(autouse=True)
def _everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="widthwise")


def test_problems_that_are_not_done_are_left_out_of_an_export(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = made_run(tmp_path / "run.db", [["1"]], open_problems=1)
    with Store.read(path) as store:
        assert len(list(stored_recordings(store))) == 1
    assert f"{path}: problem p1 is not finished and is left out" in caplog.text


def test_runs_without_counted_tokens_are_compared_by_samples(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"problem_id": "p", "problem": "?", "answer": "1", "samples": [{"text": "\\boxed{1}", "answer": "1"}] * 2}]
    assert shared_axis([curve(jsonl(tmp_path / "a.jsonl", *rows))]) == "samples"
    assert "runs are compared by samples" in caplog.text


def test_a_second_answer_filter_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [harness(0, ["#### 1018"], ["1018"], name, 1.0) for name in ("strict", "flexible")]
    path = jsonl(tmp_path / "samples_x.jsonl", *rows)
    read_generations(path)
    assert f"{path}: using the answers of the filter strict and leaving out those of flexible" in caplog.text
