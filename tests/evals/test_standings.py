"""Finished runs compared side by side."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import widthwise as ww
from tests.evals.made_runs import made_run
from widthwise.cli.app import app
from widthwise.core.errors import UsageError
from widthwise.core.strategy.composition import parse_strategy
from widthwise.evals.measure.standings import standings
from widthwise.evals.store.store import Store

RIGHT, WRONG = ["1", "1", "1", "2"], ["2", "2", "2", "1"]


def test_runs_stand_beside_the_first_one_paired_by_problem(tmp_path: Path) -> None:
    base = made_run(tmp_path / "a.db", [RIGHT] * 4 + [WRONG] * 6)
    better = made_run(tmp_path / "b.db", [RIGHT] * 9 + [WRONG])
    first, second = ww.compare(base, better)
    assert (first.accuracy, second.accuracy) == (0.4, 0.9)
    assert first.difference is None
    assert second.difference is not None
    assert second.difference.mean == pytest.approx(0.5)
    assert 0.1 < second.difference.low < 0.5 < second.difference.high < 0.9
    assert second.difference.p == pytest.approx(2 * 0.5**5)  # five problems differ, all in one direction
    assert second.interval[0] < 0.9 < second.interval[1]
    assert second.costs["sampled"] == first.costs["sampled"] > 0


def test_only_problems_that_every_run_finished_count(tmp_path: Path) -> None:
    whole = made_run(tmp_path / "a.db", [RIGHT, WRONG, WRONG, WRONG])
    part = made_run(tmp_path / "b.db", [RIGHT, WRONG], open_problems=2)
    assert [(each.problems, each.accuracy) for each in standings([whole, part])] == [(2, 0.5), (2, 0.5)]


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    runs = [made_run(tmp_path / name, [RIGHT, WRONG]) for name in ("one/a.db", "two/a.db", "b.db")]
    shown = CliRunner().invoke(app, ["compare", *map(str, runs)]).stdout
    table = [line.split()[0] for line in shown.splitlines()[2:5]]
    assert table == [str(runs[0]), str(runs[1]), "b"]
    same = CliRunner().invoke(app, ["compare", str(runs[0]), str(runs[0])]).stdout
    assert [line.split()[0] for line in same.splitlines()[2:4]] == ["a", "a"]


@pytest.mark.parametrize("served", ["x", [1], {"": [1]}, {"": "x"}])
def test_whatever_a_file_says_of_served_models_can_be_compared(served: Any, tmp_path: Path) -> None:
    runs = [made_run(tmp_path / name, [RIGHT]) for name in ("a.db", "b.db")]
    for run, said in zip(runs, ({"": {"root": "m"}}, served), strict=True):
        with Store.edit(run) as store:
            store.note({"configuration": {**store.manifest["configuration"], "served": said}})
    for order in (runs, runs[::-1]):
        assert "served: " in standings(order)[1].differs


def test_what_else_sets_runs_apart_is_said(tmp_path: Path) -> None:
    whole = made_run(tmp_path / "a.db", [RIGHT, WRONG, WRONG])
    part = made_run(tmp_path / "b.db", [RIGHT, WRONG], open_problems=1, strategy="single()")
    with Store.edit(part) as store:
        store.note({"configuration": {**store.manifest["configuration"], "model": "other", "temperature": 0.5}})
        failed = replace(store.outcome("p1"), state="error", errors=("the server is out of order",))
        store.finish(failed, store.traces("p1"))
    first, second = standings([whole, part])
    assert (first.failed, first.left_out, first.differs) == (0, 1, "")
    assert (second.failed, second.left_out) == (1, 0)
    assert second.differs == "model: none -> other; temperature: none -> 0.5"
    said = CliRunner().invoke(app, ["compare", str(whole), str(part)]).stdout
    assert "note: b: besides its strategy, it differs from a in model: none -> other; temperature" in said
    assert "note: a: 1 finished problem left out: not every run" in said
    assert "note: b: something failed on 1 problem:" in said
    alike = CliRunner().invoke(app, ["compare", str(whole), str(whole)]).stdout
    assert not [words for words in ("differs", "left out", "failed") if words in alike]


def test_p_values_are_adjusted_for_the_number_of_runs(tmp_path: Path) -> None:
    base = made_run(tmp_path / "a.db", [WRONG] * 8)
    others = [made_run(tmp_path / f"{i}.db", [RIGHT] * 6 + [WRONG] * 2) for i in range(3)]
    alone, among = (standings([base, *some])[1].difference for some in (others[:1], others))
    assert alone is not None
    assert among is not None
    assert among.p == pytest.approx(3 * alone.p)


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    base = made_run(tmp_path / "a.db", [RIGHT])
    other = made_run(tmp_path / "b.db", [RIGHT], problem="q")
    recorded = made_run(tmp_path / "c.db", [RIGHT], strategy=None)
    with pytest.raises(UsageError, match="nothing to compare"):
        standings([])
    with pytest.raises(UsageError, match="no finished problem in common"):
        standings([base, made_run(tmp_path / "d.db", [], open_problems=1)])
    with pytest.raises(UsageError, match="no strategy has answered"):
        standings([base, recorded])
    assert standings([base, other])[0].problems == 1  # the problem's text counts, not its name


def test_the_command_shows_strategies_without_their_defaults(tmp_path: Path) -> None:
    made_run(tmp_path / "a.db", [RIGHT, WRONG])
    made_run(tmp_path / "b.db", [RIGHT, RIGHT], strategy="best_of_n(n=4, temperature=0.5) | majority_vote(tie='first')")
    called = CliRunner().invoke(app, ["compare", str(tmp_path / "a.db"), str(tmp_path / "b.db")])
    assert called.exit_code == 0
    assert "best_of_n(n=4, temperature=0.5) | majority_vote()" in called.stdout
    assert "+50.0" in called.stdout
    printed = CliRunner().invoke(app, ["compare", str(tmp_path / "a.db"), str(tmp_path / "b.db"), "--json"])
    assert [run["accuracy"] for run in json.loads(printed.stdout)["runs"]] == [0.5, 1.0]


@pytest.mark.parametrize(
    ("spelled", "brief"),
    [
        ("best_of_n(n=16, temperature=None)", "best_of_n(n=16)"),
        ("best_of_n(n=4) | esc(window=5) | majority_vote(tie='first')", "best_of_n(n=4) | esc() | majority_vote()"),
        ("tree_search(n=8, select=distinct_steps() | top_k(children=4))", None),
    ],
)
def test_a_brief_strategy_reads_back_as_itself(spelled: str, brief: str | None) -> None:
    strategy = parse_strategy(spelled)
    assert parse_strategy(strategy.brief()) == strategy
    assert brief is None or strategy.brief() == brief


def test_a_run_file_is_read_without_running_what_its_strategy_names(tmp_path: Path) -> None:
    hostile = f"os:mkdir(path={str(tmp_path / 'made')!r}) | majority_vote()"
    run = made_run(tmp_path / "a.db", [RIGHT], strategy=hostile)
    called = CliRunner().invoke(app, ["compare", str(run)])
    assert called.exit_code == 0
    assert "os:mkdir" in called.stdout
    assert not (tmp_path / "made").exists()
