"""The judge of mathematical answers, and what the judges of all tasks share."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.problem import Grader, Partition, Problem
from widthwise.evals.grading import extraction
from widthwise.evals.grading.equality import Verdict, canonical, compare, partition_async
from widthwise.evals.grading.extraction import Policy, Reading, Thinking, read
from widthwise.evals.grading.leniency import Leniency
from widthwise.evals.grading.remarks import tells
from widthwise.evals.grading.values import read_choice

_log = logging.getLogger(__name__)


def equivalent(gold: str, prediction: str) -> bool:
    """Whether ``prediction``, an answer or a text that states one, means the same as ``gold``.

    Bounded in time whatever the strings.
    """
    return verdict_on(stated(gold), stated(prediction), Leniency()).outcome == "same"


def stated(text: str) -> str:
    """The answer that a text states; else, of prose, its last formula or number; else the text: a bare answer."""
    reading = read(text, extraction.MATH, last_number=tells(text))
    return text if reading is None else reading.answer


def verdict_on(gold: str, answer: str, leniency: Leniency) -> Verdict:
    """Whether ``answer`` may be called ``gold``; a choice by its letter or, where the other has none, by its text."""
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


@dataclass(frozen=True, slots=True)
class MathGrader:
    """Judges mathematical answers: numbers, expressions, lists, intervals, equations, words, choices.

    ``policy`` says where answers stand in a text. The other arguments are what projects disagree on, and a run file
    keeps them. ``thinking``: what a thinking part counts (:data:`~widthwise.evals.grading.extraction.Thinking`).
    ``last_number``: a text that states no answer answers with its last number. ``percent``, ``digits``, ``units``,
    ``labels``, ``any_order`` and ``relative`` are those of :class:`~widthwise.evals.grading.equality.Leniency`. A
    problem's metadata may ask for more: ``tolerance`` (absolute error), ``multiple`` (the reference is a list in any
    order).
    """

    name: str = "math"
    policy: Policy = extraction.MATH
    thinking: Thinking = "last"
    last_number: bool = False
    percent: bool = True
    digits: int = 4
    units: bool = True
    labels: bool = True
    any_order: bool = False
    relative: float = 0.0

    def __post_init__(self) -> None:
        extraction.check_thinking(self.thinking)
        self.leniency()

    @property
    def settings(self) -> Mapping[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("name", "policy")}

    @property
    def about(self) -> str:
        """One line for lists: what it reads, and its arguments."""
        return described(f"reads {self.policy.about}", self)

    def changed(self, **arguments: Any) -> MathGrader:
        """This grader with other arguments; raises UsageError for one that there is not."""
        return replace(self, **known_arguments(arguments, self))

    def for_problem(self, problem: Problem) -> Grader:
        return self

    def extract(self, text: str) -> str | None:
        reading = self.read(text)
        return None if reading is None else reading.answer

    def read(self, text: str) -> Reading | None:
        """As ``extract``, with where the answer was found."""
        return read(text, self.policy, thinking=self.thinking, last_number=self.last_number)

    async def partition(self, answers: Sequence[str]) -> Partition:
        return await partition_async([_voted(answer) for answer in answers])

    async def correct(self, problem: Problem, answer: str) -> bool:
        """Raises UsageError for a problem without a reference answer, or with a tolerance that is no number."""
        return (await self.verdict(problem, answer)).outcome == "same"

    async def verdict(self, problem: Problem, answer: str) -> Verdict:
        """As ``correct``, with the rule that decided."""
        if problem.answer is None:
            raise UsageError(f"problem {problem.id} has no reference answer to grade by")
        leniency = self.leniency(read_tolerance(problem.metadata.get("tolerance"), f"problem {problem.id}"))
        verdict = await asyncio.to_thread(verdict_on, problem.answer, answer, leniency)
        if verdict.outcome == "not decided":
            _log.warning("problem %s: whether %.80r is right was not decided; it counts as wrong", problem.id, answer)
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


def described(what: str, grader: Grader) -> str:
    """What a grader does, with its arguments as ``--grader`` takes them."""
    return f"{what}; {', '.join(f'{name}={value!r}' for name, value in grader.settings.items())}"


def known_arguments(arguments: Mapping[str, Any], grader: Grader) -> Mapping[str, Any]:
    for name, value in arguments.items():
        if name not in grader.settings:
            raise UsageError(f"the {grader.name} grader has no argument {name!r}; it has {', '.join(grader.settings)}")
        default = grader.settings[name]
        if type(value) is not type(default) and not (isinstance(default, float) and type(value) is int):
            raise UsageError(f"{name} of the {grader.name} grader is a {type(default).__name__}, not {value!r}")
    return arguments


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
