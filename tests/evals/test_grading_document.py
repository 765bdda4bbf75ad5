"""The examples in ``docs/grading.md`` are true."""

from pathlib import Path

import pytest

from tests.evals.choice_spellings import PLANETS
from widthwise.evals.grading.choice import choice_policy
from widthwise.evals.grading.extraction import COUNTDOWN, INTEGER, MATH, WORD_PROBLEM, extract
from widthwise.evals.grading.graders import MathGrader, verdict_on
from widthwise.evals.grading.leniency import Leniency

DOCUMENT = (Path(__file__).parents[2] / "docs" / "grading.md").read_text(encoding="utf-8")
POLICIES = {
    "math": MATH,
    "integer": INTEGER,
    "word": WORD_PROBLEM,
    "countdown": COUNTDOWN,
    "choice": choice_policy(PLANETS),
}


def _table(head: str) -> list[list[str]]:
    """The rows of the table whose first line starts with ``head``."""
    lines = DOCUMENT[DOCUMENT.index(head) :].splitlines()[2:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().strip("`") for cell in line.strip("|").split(" | ")])
    return rows


@pytest.mark.parametrize(
    "row", [*_table("| suite's reading | text | answer |"), *_table("| suite's reading | text | choice |")]
)
def test_what_is_read(row: list[str]) -> None:
    policy, text, answer = row
    assert (extract(text, POLICIES[policy]) or "none") == answer


@pytest.mark.parametrize("row", _table("| reference | answer | verdict |"))
def test_what_is_the_same(row: list[str]) -> None:
    reference, answer, verdict = row[:3]
    assert verdict_on(reference, answer, Leniency()).outcome == verdict


def test_the_arguments_and_their_defaults() -> None:
    stated = {name.strip("`"): default.strip('"') for name, default, _ in _table("| argument | default |")}
    assert stated == {
        name: f"{value:g}" if name == "relative" else str(value) for name, value in MathGrader().settings.items()
    }
