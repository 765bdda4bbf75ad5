"""What commands print if the output is not a terminal: whole tables, short names; and files found by older names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from widthwise.cli.app import app
from widthwise.cli.display import rows_table
from widthwise.cli.terminal import fitting
from widthwise.evals.store.store import Store
from widthwise.evals.suites.suites import load_suite
from widthwise.evaluation import Evaluation
from widthwise.settings import RunSettings

LONG = "x" * 5000


def test_a_table_in_a_pipe_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    rows_table(["one", "two", "three"], [[LONG, "b", LONG], ["a", LONG, "c"]])
    head, first, second = capsys.readouterr().out.splitlines()
    assert first.split() == [LONG, "b", LONG]
    assert second.split() == ["a", LONG, "c"]
    assert head.split() == ["one", "two", "three"]
    assert "…" not in first


def test_a_line_in_a_pipe_is_not_cut_and_one_on_a_terminal_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fitting(LONG, 80) == LONG
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert fitting(LONG, 80) == "x" * 79 + "…"
    assert fitting("short", 80) == "short"


def test_the_list_of_commands_has_whole_sentences() -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout
    listed = shown.partition("Commands:")[2]
    assert len(listed.splitlines()) > 10
    assert "..." not in listed
    assert "…" not in listed
    assert "Measure a strategy on a suite." in listed


def test_a_run_is_named_by_its_short_strategy_and_found_by_the_long_name_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    suite = load_suite("arithmetic", limit=2)
    settings = RunSettings.of("best_of_n(n=3) | weighted_vote(by='reward')", limit=2)
    now = Evaluation.of(suite, settings)
    assert now.path.name.startswith("arithmetic-embedded_reasoner-best_of_n_n_3_weighted_vote_by_reward-")
    older = now.path.with_name(now.path.name.replace("weighted_vote_by_reward", "weighted_vote_by_reward_we"))
    older.parent.mkdir()
    with Store.begin(older, now.configuration, suite.problems):
        pass
    assert Evaluation.of(suite, settings).path == older
    assert Evaluation.of(suite, RunSettings.of("best_of_n(n=3) | weighted_vote(by='reward')", seed=1)).path != older
    with Store.begin(now.path, now.configuration, suite.problems):
        pass
    assert Evaluation.of(suite, settings).path == now.path
