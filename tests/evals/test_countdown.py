"""The countdown problems, their solver and the checker of expressions."""

import random
from fractions import Fraction

import pytest

from widthwise.evals.suites import countdown
from widthwise.evals.suites.holdout import held_out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(12 - 7) * 3 + 20", 35),
        ("12-7*3+20", 11),
        ("8 / (3 - 8 / 3)", 24),
        ("8 - 3 - 2", 3),
        ("24 / 4 / 3", 2),
        ("(12 − 7) × 3 + 20", 35),
        (r"(12 - 7) \times 3 + 20", 35),
        (r"\left(12 - 7\right) \cdot 3 + 20 = 35", 35),
        (r"\frac{12 + 8}{5} \div 2", 2),
        (r"\dfrac{3}{4}", Fraction(3, 4)),
        ("20 ÷ 5", 4),
        ("((7))", 7),
        ("1/3 + 1/3 = 2/3", Fraction(2, 3)),
    ],
)
def test_value_reads_the_usual_spellings(text: str, expected: Fraction) -> None:
    assert countdown.value(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "12 +", "+ 3", "-3", "3 4", "(3", "3)", "2 ** 3", "3 / 0", "3 / (2 - 2)", "x + 1", "3.5", "1e9",
        "12 - 7 = 6", "1 = 1 = 1", "= 3", "__import__('os')", "9" * 7, "(" * 5000, "(" * 30 + "1" + ")" * 30,
        "1+" * 300 + "1", r"\frac{1}2", r"\frac", r"\fraction{1}{2}", "3 \\timesx 4", "1\x002", "①", "٣", "2(3)",
        "{3}",
    ],
)  # fmt: skip
def test_anything_else_has_no_value(text: str) -> None:
    assert countdown.value(text) is None
    assert countdown.canonical(text) is None
    assert not countdown.check(text, [3], 3)


def test_check_wants_every_number_exactly_once() -> None:
    assert countdown.check("(12 - 7) * 3 + 20", [3, 20, 7, 12], 35)
    assert not countdown.check("(12 - 7) * 3 + 20", [3, 20, 7, 12], 36)
    assert not countdown.check("15 + 20", [3, 20, 7, 12], 35)
    assert not countdown.check("(12 - 7) * 3 + 20", [3, 20, 7, 12, 1], 35)
    assert not countdown.check("5 + 5", [5, 2], 10)
    assert countdown.check("5 + 5", [5, 5], 10)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("3 * (12 - 7) + 20", "20 + ((12 - 7) * 3)", True),
        ("1 + 2 + 3", "3 + (2 + 1)", True),
        ("9 - (4 - 1)", "9 + 1 - 4", True),
        ("8 / (4 / 2)", "2 * 8 / 4", True),
        ("2 * 6", "3 * 4", False),
        ("9 - 4 + 1", "9 - (4 + 1)", False),
        ("8 / 4 / 2", "8 / (4 / 2)", False),
        ("2 * (3 + 4)", "2 * 3 + 4", False),
    ],
)
def test_canonical_joins_what_differs_in_order_only(one: str, other: str, same: bool) -> None:
    assert (countdown.canonical(one) == countdown.canonical(other)) is same


def test_canonical_keeps_the_value_and_is_stable() -> None:
    rng = random.Random(0)
    for _ in range(300):
        numbers = countdown.random_numbers(rng, 4)
        for target in countdown.random_targets(rng, numbers, 1):
            text = countdown.expression(numbers, countdown.solve(numbers, target, rng))
            form = countdown.canonical(text)
            assert form is not None
            assert countdown.check(form, numbers, target)
            assert countdown.canonical(form) == form


def test_the_solver_finds_what_exists_and_says_what_does_not() -> None:
    assert 35 in countdown.reachable((3, 7, 12, 20))
    solution = countdown.solve((12, 7, 3, 20), 35, random.Random(1))
    assert [move.result for move in solution][-1] == 35
    assert countdown.check(countdown.expression((12, 7, 3, 20), solution), (12, 7, 3, 20), 35)
    with pytest.raises(ValueError, match="cannot be reached"):
        countdown.solve((1, 1), 50, random.Random(1))


@pytest.mark.parametrize("numbers", [3, 4, 5])
def test_problems_are_solvable_held_out_and_repeatable(numbers: int) -> None:
    problems = countdown.generate(6, seed=3, numbers=numbers)
    assert problems == countdown.generate(6, seed=3, numbers=numbers)
    assert problems != countdown.generate(6, seed=4, numbers=numbers)
    assert len({problem.id for problem in problems}) == len({problem.text for problem in problems}) == 6
    for problem in problems:
        given, target = problem.metadata["numbers"], problem.metadata["target"]
        assert len(given) == numbers
        assert target in countdown.TARGETS
        assert problem.text == countdown.question(given, target)
        assert countdown.check(str(problem.answer), given, target)
        assert held_out(countdown.key(given[::-1], target))


def test_more_problems_than_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="not 5 different"):
        countdown.generate(5, seed=1, numbers=1)
