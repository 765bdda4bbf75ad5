"""Sweeps over how long traces may think."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import widthwise as ww
from tests.core.thinker import Thinker
from widthwise.cli.app import app
from widthwise.core.errors import UsageError
from widthwise.evals.measure.sweep import plan
from widthwise.evals.views.plots import draw
from widthwise.settings import as_any_strategy
from widthwise.sweeping import sweep

VOTE = "best_of_n(n=3) | majority_vote()"


def test_every_budget_is_a_run_of_its_own() -> None:
    made = plan([as_any_strategy(VOTE), as_any_strategy("single()")], ["s"], [8, 0], axis="thinking")
    assert [str(task.strategy.sampler) for task in made.tasks] == [
        "best_of_n(n=3, thinking=0)",
        "best_of_n(n=3, thinking=8)",
        "single(thinking=0)",
        "single(thinking=8)",
    ]
    assert all(task.budget is None for task in made.tasks)
    assert "changes the traces themselves" in made.notes[0]


@pytest.mark.parametrize(
    ("strategy", "budgets", "said"),
    [
        (VOTE, [-1], "0 or positive whole"),
        (VOTE, [1.5], "0 or positive whole"),
        ("best_of_n(n=2, waits=1)", [0], "cannot have thinking=0"),
        ("tests.evals.test_thinking_sweep:plain", [4], "has an argument 'thinking'"),
    ],
)
def test_impossible_budgets(strategy: str, budgets: list[float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        plan([as_any_strategy(strategy)], ["s"], budgets, axis="thinking")


async def plain(session: ww.Session) -> list[ww.Trace]:
    return await session.sample(session.root)


def test_samples_are_shared_with_their_budget_for_thinking() -> None:
    made = plan([as_any_strategy("best_of_n(thinking=9, waits=2) | majority_vote()")], ["s"], [2, 4])
    assert [str(task.strategy.sampler) for task in made.tasks] == ["best_of_n(n=4, thinking=9, waits=2)"]
    made = plan([as_any_strategy("best_of_n(thinking=9, waits=2) | majority_vote()")], ["s"], [2, 4], axis="tokens")
    assert "take back" in made.notes[0]


def knowing() -> Thinker:
    """A model that is right if it finishes thinking; if its thinking is cut, its answer is wrong."""
    return Thinker("<think>abcdefgh</think>so \\boxed{7}", answer="\\boxed{5}")


@pytest.fixture
def suite(tmp_path: Path) -> str:
    file = tmp_path / "suite.jsonl"
    file.write_text("".join(f'{{"id": "p{i}", "problem": "{i}?", "answer": "7"}}\n' for i in range(3)))
    return str(file)


def test_a_sweep_over_thinking(suite: str, tmp_path: Path) -> None:
    done = sweep([VOTE], [suite], [0, 8, 40], axis="thinking", model=knowing(), folder=tmp_path / "runs")
    [curve] = done.curves
    assert curve.label.startswith("best_of_n(n=3, thinking=budget)")
    line = curve.lines["run"]
    assert line.budgets["thinking"].tolist() == [0, 8, 40]
    assert line.accuracy.tolist() == [1, 0, 1]
    each = (len("so \\boxed{7}") + 1, 8 + 10, len("<think>abcdefgh</think>so \\boxed{7}") + 1)
    assert line.budgets["tokens"].tolist() == [3 * tokens for tokens in each]
    draw([curve], "thinking")
    assert len(done.runs) == 3


def test_from_the_command_line(suite: str, tmp_path: Path) -> None:
    where = ["--suite", suite, "--model", "tests.evals.test_thinking_sweep:knowing", "--folder", str(tmp_path / "runs")]
    how = ["--strategy", "single()", "--axis", "thinking", "--budgets", "0,8,40"]
    shown = CliRunner().invoke(app, ["sweep", *where, *how])
    assert shown.exit_code == 0, shown.output
    assert "by thinking" in shown.output
    assert [line.split()[1] for line in shown.output.splitlines() if line.startswith("40 ")] == ["single(thinking=40)"]
    assert list((tmp_path / "runs").glob("*.svg"))
    assert list((tmp_path / "runs").glob("*.html"))
