"""Sweeps over how long traces may think."""

from __future__ import annotations

from pathlib import Path

import pytest

import widthwise as ww
from tests.core.thinker import Thinker
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
        ("best_of_n(n=2, waits=1)", [0], "cannot think for 0 tokens"),
        ("tests.evals.test_thinking_sweep:plain", [4], "no argument thinking"),
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


def test_a_sweep_over_thinking(tmp_path: Path) -> None:
    """The model knows better when it thinks for long: what it says when its thinking is cut is wrong."""
    suite = tmp_path / "suite.jsonl"
    suite.write_text("".join(f'{{"id": "p{i}", "problem": "{i}?", "answer": "7"}}\n' for i in range(3)))
    model = Thinker("<think>abcdefgh</think>so \\boxed{7}", answer="\\boxed{5}")
    done = sweep([VOTE], [str(suite)], [0, 8, 40], axis="thinking", model=model, folder=tmp_path / "runs")
    [curve] = done.curves
    assert curve.label.startswith("best_of_n(n=3, thinking=budget)")
    line = curve.lines["run"]
    assert line.budgets["thinking"].tolist() == [0, 8, 40]
    assert line.accuracy.tolist() == [1, 0, 1]
    each = (len("so \\boxed{7}") + 1, 8 + 10, len(model._texts[0]) + 1)
    assert line.budgets["tokens"].tolist() == [3 * tokens for tokens in each]
    draw([curve], "thinking")
    assert len(done.runs) == 3
