"""Equivalence classes of answers."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widthwise.core.answer import AnswerClass, commonest, elect, group
from widthwise.core.trace.trace import Segment, Trace
from widthwise.evals.grading.countdown import CountdownGrader
from widthwise.evals.grading.graders import MathGrader

TRACE = Trace((0,), Segment("prompt", np.arange(2), "?"))


async def test_classes_stand_in_order_of_first_appearance() -> None:
    answers = ["1/2", None, "3", "0.5", r"\frac{1}{2}", "3.0", None, "x+1", "1 + x"]
    assert await group(MathGrader(), answers) == [[0, 3, 4], [2, 5], [7, 8]]


async def test_nothing_to_group() -> None:
    assert await group(MathGrader(), []) == []
    assert await group(MathGrader(), [None, None]) == []


async def test_countdown_expressions() -> None:
    answers = ["(1 + 2) * 3", "3 * (2 + 1)", "1 + 2 * 3", "3 * (1 + 2) = 9"]
    assert await group(CountdownGrader(), answers) == [[0, 1, 3], [2]]


async def test_pairs_that_are_not_decided_are_listed(caplog: pytest.LogCaptureFixture) -> None:
    assert await group(MathGrader(), ["1", "2^{2^{2^{49}}}", "1.0"]) == [[0, 2], [1]]
    assert "could not decide whether '2^{2^{2^{49}}}' and '1' are the same answer" in caplog.text


def test_a_class_shows_its_most_frequent_spelling() -> None:
    assert commonest(["0.5", "1/2", "1/2", ".5"]) == "1/2"
    assert commonest(["0.5", "1/2"]) == "0.5"


@pytest.mark.parametrize("lighter_first", [True, False])
def test_votes_that_differ_by_rounding_are_a_tie_in_the_order_of_the_traces(lighter_first: bool) -> None:
    weights = (0.3, 0.1 + 0.2) if lighter_first else (0.1 + 0.2, 0.3)
    classes = [AnswerClass(name, (TRACE,), weight) for name, weight in zip("abc", (*weights, 0.25), strict=True)]
    found = elect([classes[2], *classes[:2]])
    assert (found.text, found.tied, [c.answer for c in found.classes]) == ("a", True, ["a", "b", "c"])


@settings(deadline=None)
@given(st.lists(st.sampled_from([None, "1", "1.0", "2", "2.00", "3/1", "3", "x"])))
async def test_every_answer_is_in_one_class(answers: list[str | None]) -> None:
    found = await group(MathGrader(), answers)
    positions = [position for members in found for position in members]
    assert sorted(positions) == [i for i, answer in enumerate(answers) if answer is not None]
    assert all(members == sorted(members) for members in found)
    assert [m[0] for m in found] == sorted(m[0] for m in found)


async def test_many_answers() -> None:
    rng = random.Random(1)
    answers = [str(rng.randrange(1_000)) for _ in range(100_000)]
    assert len(await group(MathGrader(), answers)) == 1_000
