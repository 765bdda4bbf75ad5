"""The grader of mathematical answers."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.problem import Partition, Problem
from widthwise.evals.grading import extraction
from widthwise.evals.grading.equality import Verdict, canonical, compare, partition_async
from widthwise.evals.grading.extraction import Policy, Reading, read
from widthwise.evals.grading.leniency import Leniency
from widthwise.evals.grading.policy_grader import PolicyGrader
from widthwise.evals.grading.remarks import tells
from widthwise.evals.grading.values import read_choice

_log = logging.getLogger(__name__)

ALSO = "also"
"""The key of metadata for further reference answers, each of which is right, too."""


def equivalent(gold: str, prediction: str) -> bool:
    """Whether ``prediction``, an answer or a text that states one, means the same as ``gold``.

    Bounded in time whatever the strings.
    """
    return verdict_on(stated(gold), stated(prediction), Leniency()).outcome == "same"


def stated(text: str) -> str:
    """The answer that a text states; for prose without one, its last formula or number; else the text itself."""
    reading = read(text, extraction.MATH, last_number=tells(text))
    return text if reading is None else reading.answer


def verdict_on(gold: str, answer: str, leniency: Leniency) -> Verdict:
    """Whether ``answer`` may be called ``gold``; a choice goes by its letter or, if the other has none, by its text."""
    if not (gold.strip() and answer.strip()):
        return Verdict("different", "nothing stated")
    wanted, given = read_choice(gold), read_choice(answer)
    if wanted and given:
        return Verdict("same" if wanted.letter == given.letter else "different", "choice letter")
    gold = wanted.text if wanted and wanted.text else gold
    verdict = compare(gold, answer, leniency)
    if verdict.outcome != "same" and given and given.text:
        return compare(gold, given.text, leniency)
    return verdict


@dataclass(frozen=True)
class MathGrader(PolicyGrader):
    """Grades mathematical answers: numbers, expressions, lists, intervals, equations, words, choices.

    ``policy`` says where answers are found in a text. The other arguments are what projects disagree on, and a run file
    keeps them. ``thinking``: when an answer in the thinking counts
    (:data:`~widthwise.core.prompting.saying.AnswerInThinking`).
    ``last_number``: a text that states no answer answers with its last number. ``percent``, ``digits``, ``units``,
    ``labels``, ``any_order`` and ``relative`` are those of :class:`~widthwise.evals.grading.equality.Leniency`. A
    problem's metadata may ask for more: ``tolerance`` (absolute error), ``multiple`` (the reference is a list in any
    order), ``also`` (a list of further references, each of which is right, too).
    """

    name: str = "math"
    policy: Policy = extraction.MATH
    last_number: bool = False
    percent: bool = True
    digits: int = 4
    units: bool = True
    labels: bool = True
    any_order: bool = False
    relative: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.leniency()

    def read(self, text: str) -> Reading | None:
        """Like ``extract``, with where the answer was found."""
        return read(text, self.policy, thinking=self.thinking, last_number=self.last_number)

    async def partition(self, answers: Sequence[str]) -> Partition:
        return await partition_async([_voted(answer) for answer in answers])

    async def correct(self, problem: Problem, answer: str) -> bool:
        """Raises UsageError for a problem without a reference answer, or with a tolerance that is not a number."""
        return (await self.verdict(problem, answer)).outcome == "same"

    async def verdict(self, problem: Problem, answer: str) -> Verdict:
        """Like ``correct``, with the rule that decided."""
        if problem.answer is None:
            raise UsageError(f"problem {problem.id} has no reference answer to grade by")
        leniency = self.leniency(read_tolerance(problem.metadata.get("tolerance"), f"problem {problem.id}"))
        verdict = await asyncio.to_thread(_verdict, [problem.answer, *further(problem)], answer, leniency)
        if verdict.outcome == "not decided":
            _log.warning("problem %s: could not decide whether %.80r is right; it counts as wrong", problem.id, answer)
        return verdict

    async def valid(self, problem: Problem, answer: str) -> bool:
        return await asyncio.to_thread(lambda: canonical(answer).whole)

    def leniency(self, absolute: float = 0.0) -> Leniency:
        """What is forgiven; ``absolute`` is the problem's tolerance."""
        return Leniency(
            self.percent,
            self.digits,
            self.units,
            self.labels,
            self.any_order,
            absolute=absolute,
            relative=self.relative,
        )


def _verdict(golds: Sequence[str], answer: str, leniency: Leniency) -> Verdict:
    """Whether ``answer`` is one of ``golds``; if it is none, what the first says of it."""
    first = verdict_on(golds[0], answer, leniency)
    others = (verdict_on(gold, answer, leniency) for gold in golds[1:])
    return first if first.outcome == "same" else next((each for each in others if each.outcome == "same"), first)


def further(problem: Problem) -> list[str]:
    """The references that a problem has besides its answer."""
    said = problem.metadata.get(ALSO, ())
    return [each for each in said if isinstance(each, str)] if isinstance(said, list | tuple) else []


def _voted(answer: str) -> str:
    """What an answer votes for: ``(B) 12`` for B."""
    choice = read_choice(answer)
    return choice.letter if choice else answer


def read_tolerance(value: Any, where: str) -> float:
    """A tolerance as data files write it: nothing, a number, or a number in a string such as ``1e-1``."""
    try:
        tolerance = float(value or 0)
    except (TypeError, ValueError):
        tolerance = math.nan
    if not 0 <= tolerance < math.inf:
        raise UsageError(f"{where}: a tolerance is a finite number of at least 0, not {value!r}")
    return tolerance
