"""Multiple-choice questions from rows: the layouts of GPQA and MMLU-Pro.

GPQA has one column for the right answer and one for each wrong one; their letters are drawn from the seed and the
question, so that they are the same in every run and in every copy of the data. MMLU-Pro lists the options in their
order, with the letter and the place of the right one.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from widthwise.core.problem import Problem
from widthwise.evals.grading.choice_reading import LETTERS
from widthwise.evals.suites.columns import Row, column
from widthwise.evals.suites.rows import identity, text_of

CHOOSE = "Think step by step, and then put the letter of the option that is right within \\boxed{}."
"""The instruction of multiple-choice suites."""

RIGHT = "Correct Answer"
WRONG = "Incorrect Answer"
_KEPT = {"category": "category", "src": "source", "Subdomain": "subject", "High-level domain": "category"}
"""Columns that are kept, and their names here. Explanations of the answer are not kept."""


def choice_problem(row: Row, default_id: str, prefix: str, seed: int = 0) -> Problem:
    """A question with its options below it; raises ValueError, saying what is missing or wrong.

    The metadata has the ``options`` in the order of their letters. If that order was drawn, ``order`` says which of the
    row's options is at each place (0 is the right one), and ``order_seed`` from which seed.
    """
    question = text_of(row).strip()
    metadata: dict[str, Any] = {name: row[column] for column, name in _KEPT.items() if row.get(column)}
    if RIGHT in row:
        listed = _right_and_wrong(row)
        order = _drawn(listed, f"{seed} {question}")
        metadata |= {"options": [listed[i] for i in order], "order": order, "order_seed": seed}
        letter = LETTERS[order.index(0)]
    else:
        metadata["options"] = _listed(row)
        letter = _letter(row, metadata["options"])
    lines = [f"({LETTERS[i]}) {option}" for i, option in enumerate(metadata["options"])]
    return Problem(identity(row, default_id, prefix), "\n".join([question, "", *lines]), letter, metadata)


def _drawn(options: list[str], seed: str) -> list[int]:
    """An order of ``options`` that depends only on their texts and ``seed``."""
    return sorted(range(len(options)), key=lambda i: hashlib.sha256(f"{seed}\n{options[i]}".encode()).digest())


def _right_and_wrong(row: Row) -> list[str]:
    wrong = sorted(name for name in row if name.startswith(WRONG))
    return _checked([row[name] for name in (RIGHT, *wrong)], f"the columns {RIGHT!r} and {WRONG + ' 1'!r} to 3")


def _listed(row: Row) -> list[str]:
    """The options of MMLU-Pro's layout; a CSV file holds them as a JSON list."""
    where = next((name for name in ("options", "choices") if row.get(name) is not None), None)
    if where is None:
        raise ValueError(
            f"there are no options: they are read from the column 'options' (a list), or from {RIGHT!r} and "
            f"{WRONG + ' 1'!r} to 3"
        )
    value = row[where]
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError(f"{where!r} holds a text that is not a JSON list of options") from None
    return _checked(value, f"{where!r}")


def _checked(options: Any, where: str) -> list[str]:
    if not isinstance(options, list) or not all(isinstance(option, str | int | float) for option in options):
        raise ValueError(f"{where} must hold a list of texts")
    if not 2 <= len(options) <= len(LETTERS):
        raise ValueError(
            f"{where} must hold 2 to {len(LETTERS)} options, which are lettered A to J, not {len(options)}"
        )
    return [str(option).strip() for option in options]


def _letter(row: Row, options: list[str]) -> str:
    """The letter of the right option, by its letter, its place (from 0) or both, or by its text."""
    said, place = column(row, "answer"), row.get("answer_index")
    letters = LETTERS[: len(options)]
    if isinstance(said, int) and place in (None, "", said):
        return _by_number(said, options, letters)
    by_place = _by_place(place, letters) if place not in (None, "") else None
    if said in (None, ""):
        if by_place is None:
            raise ValueError("neither 'answer' nor 'answer_index' says which option is right")
        return by_place
    letter = said if said in tuple(letters) else _by_text(str(said), options, letters)
    if by_place not in (None, letter):
        raise ValueError(f"'answer' says {letter} and 'answer_index' says {by_place}")
    return letter


def _by_number(said: int, options: list[str], letters: str) -> str:
    """The option at a place, from 0, as in MMLU; refused if the number is the text of another one."""
    letter = _by_place(said, letters)
    if str(said) in options and _by_text(str(said), options, letters) != letter:
        raise ValueError(
            f"the answer {said} is the place of an option, from 0, and also the text of another: write a letter"
        )
    return letter


def _by_place(place: Any, letters: str) -> str:
    text = str(place)
    if not text.isdecimal() or len(text) > 2 or int(text) >= len(letters):
        raise ValueError(f"'answer_index' must be the place of an option, from 0 to {len(letters) - 1}, not {place!r}")
    return letters[int(text)]


def _by_text(said: str, options: list[str], letters: str) -> str:
    found = [letter for letter, option in zip(letters, options, strict=True) if option == said.strip()]
    if len(found) != 1:
        raise ValueError(
            f"the answer {said[:80]!r} is none of the options {letters[0]} to {letters[-1]}, nor the text of one"
        )
    return found[0]
