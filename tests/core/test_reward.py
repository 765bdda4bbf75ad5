"""Step scores: how a text is cut into steps, and how their scores become one number."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.core.rewards.reward import REDUCTIONS, StepReduction, StepScores, reduce, steps_of

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [("last", 0.4), ("min", 0.4), ("prod", 0.9 * 0.5 * 0.4), ("mean", 0.6), ("model", 0.4)],
)
def test_the_reductions_of_one_solution(reduction: StepReduction, expected: float) -> None:
    assert reduce((0.9, 0.5, 0.4), reduction) == pytest.approx(expected)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_no_steps_score_zero_and_no_scores_stay_unscored(reduction: StepReduction) -> None:
    assert StepScores(()).reduced(reduction) is None, "no step is not a bad step"
    assert StepScores(None, error="out of memory").reduced(reduction) is None


@given(SCORES)
def test_what_holds_of_all_scores(scores: list[float]) -> None:
    reduced = {kind: reduce(scores, kind) for kind in REDUCTIONS}
    assert all(0 <= score <= 1 for score in reduced.values())
    assert reduced["prod"] <= reduced["min"] <= reduced["last"] <= max(scores)
    assert reduced["min"] <= reduced["mean"] + 1e-12
    assert reduced["last"] == reduced["model"] == scores[-1]


@given(SCORES, st.randoms())
def test_only_the_last_step_knows_its_place(scores: list[float], chance: object) -> None:
    shuffled = sorted(scores)
    for kind in ("min", "prod", "mean"):
        assert reduce(shuffled, kind) == pytest.approx(reduce(scores, kind))  # type: ignore[arg-type]


def test_a_separator_at_the_end_begins_no_step() -> None:
    assert steps_of("a\n\nb\n\n", "\n\n") == ("a", "b")
    assert steps_of("a\n\n\n\nb\n\n \n\n", "\n\n") == ("a", "b")
    assert steps_of("\n\n", "\n\n") == ()
    assert steps_of("", "\n\n") == ()
    assert steps_of("one line\nand another", "\n\n") == ("one line\nand another",)


@given(st.lists(st.text("ab \n", min_size=1), max_size=6))
def test_steps_are_never_empty_and_joining_them_again_changes_nothing(parts: list[str]) -> None:
    steps = steps_of("\n\n".join(parts), "\n\n")
    assert all(step.strip() == step and step for step in steps)
    assert steps_of("\n\n".join(steps) + "\n\n", "\n\n") == steps


@pytest.mark.parametrize(
    ("scores", "complaint"),
    [
        ((0.5, math.nan), "step 2 with NaN"),
        ((0.5, 1.5), "the score 1.5"),
        ((-0.1, 0.5), "the score -0.1"),
        ((0.5, math.inf), "the score inf"),
        ((0.5,), "gave 1 scores where 2 were expected"),
        ((0.5, 0.5, 0.5), "gave 3 scores where 2 were expected"),
        ((), "gave 0 scores where 2 were expected"),
        (None, "gave no scores"),
    ],
)
def test_scores_that_make_no_sense_are_an_error(scores: tuple[float, ...] | None, complaint: str) -> None:
    checked = StepScores(scores, tokens=7).checked(2)
    assert checked.steps is None
    assert checked.tokens == 7
    assert complaint in str(checked.error)


def test_scores_that_make_sense_pass() -> None:
    scores = StepScores((0.0, 1.0), tokens=7)
    assert scores.checked(2) is scores
