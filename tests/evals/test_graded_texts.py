"""Whole texts graded by the graders of the suites; the cases are in ``data/graded_texts.txt``."""

from pathlib import Path

import pytest

from widthwise.core.problem import Problem
from widthwise.evals.grading.graders import MathGrader
from widthwise.evals.suites.hub import INTEGER, MATH, WORD_PROBLEM

GRADERS = {"math": MATH, "integer": INTEGER, "word": WORD_PROBLEM}
LINES = (Path(__file__).parent / "data" / "graded_texts.txt").read_text(encoding="utf-8").splitlines()
CASES = [line for line in LINES if line and not line.startswith("#")]


async def _right(grader: MathGrader, gold: str, text: str) -> bool:
    answer = grader.extract(text)
    return answer is not None and await grader.correct(Problem("p", "What is it?", gold), answer)


@pytest.mark.parametrize("case", CASES)
async def test_texts(case: str) -> None:
    policy, gold, rest = case.split(" | ", 2)
    text, label = rest.rsplit(" | ", 1)
    assert label in ("right", "wrong")
    assert await _right(GRADERS[policy], gold, text.replace("⏎", "\n")) is (label == "right")
