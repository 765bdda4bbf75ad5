"""The arithmetic problems."""

import random

import pytest

from widthwise.evals.suites import arithmetic, countdown
from widthwise.evals.suites.holdout import held_out


def test_problems_are_held_out_repeatable_and_right() -> None:
    problems = arithmetic.generate(140, seed=3)
    assert problems == arithmetic.generate(140, seed=3)
    assert problems != arithmetic.generate(140, seed=4)
    assert len({problem.id for problem in problems}) == len({problem.text for problem in problems}) == 140
    for problem in problems:
        text = problem.text.removeprefix("Compute ").removesuffix(".")
        assert countdown.value(text) == int(str(problem.answer))
        assert held_out(arithmetic.key(text))


def test_the_level_is_the_number_of_operations() -> None:
    problems = arithmetic.generate(30, seed=1, levels=(1, 4, 6))
    assert [problem.metadata["level"] for problem in problems[:4]] == [1, 4, 6, 1]
    for problem in problems:
        assert sum(problem.text.count(f" {op} ") for op in "+-*/") == problem.metadata["level"]


def test_every_value_stays_in_range() -> None:
    rng = random.Random(0)
    for _ in range(500):
        steps = arithmetic.steps(arithmetic.random_tree(rng, 8))
        assert len(steps) == 8
        assert all(0 <= step.result <= arithmetic.LARGEST for step, _ in steps)
        assert all(countdown.value(str(step)) == step.result for step, _ in steps)


def test_parentheses_are_written_where_they_are_needed() -> None:
    inner: arithmetic.Tree = ("-", 9, 4)
    assert arithmetic.expression(("-", 20, inner)) == "20 - (9 - 4)"
    assert arithmetic.expression(("-", inner, 2)) == "9 - 4 - 2"
    assert arithmetic.expression(("*", inner, 2)) == "(9 - 4) * 2"
    assert arithmetic.expression(("+", 2, ("*", 3, 4))) == "2 + 3 * 4"


def test_steps_go_from_the_inside_and_from_the_left() -> None:
    tree: arithmetic.Tree = ("-", ("*", ("+", 17, 5), 3), ("+", 40, 8))
    assert [(str(step), arithmetic.expression(rest)) for step, rest in arithmetic.steps(tree)] == [
        ("17 + 5 = 22", "22 * 3 - (40 + 8)"),
        ("22 * 3 = 66", "66 - (40 + 8)"),
        ("40 + 8 = 48", "66 - 48"),
        ("66 - 48 = 18", "18"),
    ]


def test_more_problems_than_exist_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "DRAWS", 5)
    with pytest.raises(ValueError, match="not 500 different"):
        arithmetic.generate(500, seed=1, levels=(1,))
