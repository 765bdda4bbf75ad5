"""Sweeps over an argument of a strategy's parts, such as the ratio of revisions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import widthwise as ww
from widthwise.cli.app import app
from widthwise.core.errors import UsageError
from widthwise.evals.measure.argument import named_with, with_argument
from widthwise.evals.measure.sweep import plan
from widthwise.settings import as_any_strategy
from widthwise.sweeping import sweep

REVISED = "revisions(n=4) | majority_vote()"


def revising() -> ww.FunctionBackend:
    """A model that is wrong at first, and right as soon as it sees a draft: revisions win from a length of three."""

    def reply(messages: list[dict[str, str]]) -> str:
        return "\\boxed{7}" if "earlier attempts" in messages[-1]["content"] else "\\boxed{5}"

    return ww.FunctionBackend(reply)


@pytest.fixture
def suite(tmp_path: Path) -> str:
    file = tmp_path / "suite.jsonl"
    file.write_text("".join(f'{{"id": "p{i}", "problem": "{i}?", "answer": "7"}}\n' for i in range(3)))
    return str(file)


def test_every_value_is_a_run_of_its_own() -> None:
    made = plan([as_any_strategy(REVISED)], ["s"], [4, 0.25, 1], axis="ratio")
    assert [task.strategy.sampler for task in made.tasks] == [ww.Revisions(4, ratio) for ratio in (0.25, 1, 4)]
    assert all(task.budget is None for task in made.tasks)
    assert made.notes == (
        "revisions(n=4, ratio=budget) | majority_vote(): a run for each budget, because ratio changes the traces "
        "themselves",
    )
    assert made.table()["ratio"] == [0.25, 1, 4]


@pytest.mark.parametrize(
    ("strategy", "name", "value", "made"),
    [
        ("best_of_n(n=4) | majority_vote()", "temperature", 0.5, "best_of_n(n=4, temperature=0.5) | majority_vote()"),
        ("best_of_n(n=4) | esc(window=5)", "window", 3, "best_of_n(n=4) | esc(window=3)"),
        ("best_of_n(n=4) | borda_vote(p=0.5)", "p", 2, "best_of_n(n=4) | borda_vote(p=2)"),
        ("best_of_n(n=4) | short(m=2) | budget(tokens=90)", "n", 2, "best_of_n(n=2) | short(m=2) | budget(tokens=90)"),
    ],
)
def test_the_first_part_that_has_the_argument_gets_it(strategy: str, name: str, value: float, made: str) -> None:
    assert with_argument(as_any_strategy(strategy), name, value) == as_any_strategy(made)
    assert f"{name}=budget" in named_with(as_any_strategy(strategy), name)


@pytest.mark.parametrize(
    ("axis", "budgets", "said"),
    [
        ("ratio", [2], r"cannot have ratio=2: .*0\.25, 1, 4"),
        ("ratio", [0], "cannot have ratio=0"),
        ("ratio", [float("nan")], "must be finite"),
        ("samples", [float("inf")], "must be finite"),
        ("raito", [1], r"no part of revisions\(n=4\).* has an argument 'raito'; did you mean 'ratio'"),
        ("sample", [1], r"samples, tokens, sequential, seconds, flops, or an argument .*did you mean 'samples'"),
    ],
)
def test_impossible_axes_and_values(axis: str, budgets: list[float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        plan([as_any_strategy(REVISED)], ["s"], budgets, axis=axis)


def test_the_samples_axis_sets_the_number_of_attempts() -> None:
    made = plan([as_any_strategy("revisions(ratio=1)")], ["s"], [4, 16])
    assert [task.strategy.sampler for task in made.tasks] == [ww.Revisions(n) for n in (4, 16)]
    with pytest.raises(UsageError, match="cannot have a budget of 8 samples"):
        plan([as_any_strategy("revisions(ratio=1)")], ["s"], [8])


def test_a_sweep_over_the_ratio(suite: str, tmp_path: Path) -> None:
    done = sweep([REVISED], [suite], [0.25, 1, 4], axis="ratio", model=revising(), folder=tmp_path / "runs")
    [curve] = done.curves
    assert curve.lines["run"].budgets["ratio"].tolist() == [0.25, 1, 4]
    assert curve.lines["run"].accuracy.tolist() == [0, 0, 1]  # two against two is a tie, which the first wins
    assert done.table()["ratio"] == [0.25, 1, 4]
    assert done.plot().axes[0].get_xlabel() == "ratio"


def test_from_the_command_line(suite: str, tmp_path: Path) -> None:
    made = f"{Path(__file__).parent / 'test_argument_sweep.py'}:revising"
    where = ["--suite", suite, "--model", made, "--folder", str(tmp_path / "runs")]
    how = ["--strategy", REVISED, "--axis", "ratio", "--budgets", "0.25,1,4"]
    shown = CliRunner().invoke(app, ["sweep", *where, *how])
    assert shown.exit_code == 0, shown.output
    rows = [line.split("  ")[0] for line in shown.output.splitlines() if "% " not in line and "ratio=" in line]
    assert [row for row in rows if row in ("0.25", "1", "4")] == ["0.25", "1", "4"]
    assert "revisions(n=4, ratio=4) | majority_vote()" in shown.output
    assert "differences from the best" in shown.output
    said = CliRunner().invoke(app, ["sweep", *where, *how, "--json"])
    [of_suite] = json.loads(said.stdout)["suites"]
    compared: dict[str, Any] = of_suite["comparison"]
    assert {row["budget"]: row["accuracy"] for row in compared["points"]} == {0.25: 0, 1: 0, 4: 1}
    assert [row["method"] for row in compared["pareto"]] == ["revisions(n=4, ratio=4) | majority_vote()"]
    assert (tmp_path / "runs" / "suite.svg").exists()
    assert '"ratio"' in (tmp_path / "runs" / "suite.csv").read_text().splitlines()[0].split(",")
