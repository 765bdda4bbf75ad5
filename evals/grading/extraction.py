"""Reading the final answer out of a text: where the text states it, never by guessing.

Readers (boxes, answer lines, sentences ...) find the statements of answers in a text; the last certain one decides.
Which part of it is the answer depends on the policy's kind of values: an integer suite takes nothing from a box that
holds a fraction, and does not go back to an earlier box. Reading is one linear pass per reader.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import get_args

from widthwise.core.errors import UsageError
from widthwise.core.prompting.saying import AnswerInThinking, Saying
from widthwise.evals.grading.boxes import boxes, listed_boxes
from widthwise.evals.grading.lines import (
    answer_lines,
    called_answers,
    hashes,
    only_line,
    sentences,
    short_answer_lines,
    tags,
)
from widthwise.evals.grading.remarks import FORMULA, hidden
from widthwise.evals.grading.statement import MAX_ANSWER_CHARS, Reader, Statement
from widthwise.evals.grading.values import expression, formula, integer, quantity

_UNKNOWN = Saying()
"""For texts of an unknown model: they have the usual marks and ends."""

_NUMBER = re.compile(
    r"(?:(?<![\w.)}])[-−])?(?<![\d.])(?:\d{1,3}(?:,\d{3})+|\d+(?:/\d+)?)(?:\.\d+)?%?"
    r"|\\[dt]?frac\{[^{}]{1,40}\}\{[^{}]{1,40}\}"
)
_SENTENCE = re.compile(r"(?:^|\s)[^\W\d_]{2,} [^\W\d_]{2,}(?:\s|$)")
_LAST_CHARS = 4_000


@dataclass(frozen=True, slots=True)
class Policy:
    """Which statements count as an answer, and which part of them is the answer.

    ``readers`` find statements; the last certain one counts. If there is none, the last uncertain one does, then those
    of ``hints``. ``value`` gives the answer in a statement: None if it is of another kind (there is no answer then),
    empty if nothing is stated. ``about`` describes it.
    """

    readers: tuple[Reader, ...]
    value: Callable[[str, bool], str | None] = formula
    hints: tuple[Reader, ...] = ()
    about: str = "any mathematical answer"


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read in a text: the answer, the reader that found it, and the statement that contains it."""

    answer: str
    reader: str
    at: int
    statement: str


def extract(text: str, policy: Policy) -> str | None:
    """The final answer that ``text`` states, stripped; None if it states none."""
    reading = read(text, policy)
    return None if reading is None else reading.answer


def check_thinking(thinking: str) -> None:
    """Raises UsageError for anything but a :data:`~widthwise.core.prompting.saying.AnswerInThinking`."""
    if thinking not in get_args(AnswerInThinking):
        raise UsageError(f"thinking is one of {', '.join(get_args(AnswerInThinking))}, not {thinking!r}")


def read(
    text: str, policy: Policy, *, thinking: AnswerInThinking = "last", last_number: bool = False
) -> Reading | None:
    """Like ``extract``, with where the answer was found; ``at`` counts from the part of the text that was read.

    Tokens that end a sequence are not part of the text, even if they are only spelled there; ``thinking`` says when an
    answer in the thinking counts. ``last_number``: a text that states no answer answers with its last formula or
    number.
    """
    for part in parts(text, thinking):
        for statement in (*_in_order(part, policy), *(last_values(part) if last_number else ())):
            answer = policy.value(statement.text, statement.reader != "box")
            if answer is None:
                return None
            if answer and len(answer) <= MAX_ANSWER_CHARS:
                return Reading(answer, statement.reader, statement.at, statement.text)
    return None


def parts(text: str, thinking: AnswerInThinking) -> list[str]:
    """The parts of ``text`` to read, most trusted first."""
    return _UNKNOWN.parts(text, thinking)


def _in_order(text: str, policy: Policy) -> Iterator[Statement]:
    """The statements of ``text``, most trusted first: certain ones before others, later before earlier ones."""
    found = _outside(sorted((s for reader in policy.readers for s in reader(text)), key=lambda s: s.at))
    yield from sorted(found, key=lambda statement: (statement.certain, statement.at), reverse=True)
    for reader in policy.hints:
        yield from reader(text)


def last_values(text: str) -> Iterator[Statement]:
    """The last formula or number of a text, whatever the text says of it: a guess, for callers that ask for one."""
    window = text[-_LAST_CHARS:]
    formulas = [formula for formula in FORMULA.finditer(window) if not _SENTENCE.search(formula[0])]
    numbers = list(_NUMBER.finditer(hidden(window, formulas)))
    for found in sorted([*formulas[-1:], *numbers[-1:]], key=re.Match.start)[-1:]:
        yield Statement("last value", len(text) - len(window) + found.start(), found[0])


def _outside(statements: list[Statement]) -> Iterator[Statement]:
    """Without lines and sentences inside a box or a tag: its content is one statement."""
    covered = 0
    for statement in statements:
        if statement.end or statement.at >= covered:
            yield statement
        covered = max(covered, statement.end)


MATH = Policy((listed_boxes, tags, answer_lines, sentences, called_answers, hashes), formula)
INTEGER = Policy(
    (boxes, tags, answer_lines, sentences, called_answers, hashes), integer, (short_answer_lines,), "an integer"
)
WORD_PROBLEM = Policy(
    (boxes, tags, hashes, short_answer_lines, answer_lines, sentences, called_answers),
    quantity,
    about="a number, without what it counts",
)
COUNTDOWN = Policy(
    (boxes, tags, answer_lines, sentences, called_answers), expression, (only_line,), "an arithmetic expression"
)
SUDOKU = Policy((boxes, tags), about="a completed grid")
