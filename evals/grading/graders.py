"""The judge of mathematical answers, and what the judges of all tasks share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.problem import Grader, Problem
from widthwise.evals.grading import extraction
from widthwise.evals.grading.comparison import Comparison, compare, compare_collections, decide, decide_async
from widthwise.evals.grading.equality import Verdict
from widthwise.evals.grading.extraction import Policy, Reading, Thinking, extract, read
from widthwise.evals.grading.leniency import Leniency
from widthwise.evals.grading.normalisation import MAX_CHARS, normalise
from widthwise.evals.grading.numerals import read_numeral
from widthwise.evals.grading.structure import Collection, is_words, read_collection, read_time
from widthwise.evals.grading.values import read_choice
from widthwise.evals.grading.workers import Check


def equivalent(gold: str, prediction: str) -> bool:
    """Whether ``prediction``, an answer or a text that states one, means the same as ``gold``.

    Bounded in time whatever the strings. Raises WidthwiseError when no grading worker can be started.
    """
    return decide(compare(stated(gold), stated(prediction)))


def stated(text: str) -> str:
    """The answer that a text states; the text itself where it states none (it may be a bare answer)."""
    return extract(text, extraction.MATH) or text


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
        self._leniency()

    @property
    def settings(self) -> Mapping[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("name", "policy")}

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

    def form(self, answer: str) -> str:
        return normalise(_voted(answer))

    def bucket(self, answer: str) -> str | None:
        return _plain(_voted(answer))

    async def equivalent(self, a: str, b: str) -> bool:
        return a == b or await decide_async(compare(_voted(a), _voted(b)))

    async def correct(self, problem: Problem, answer: str) -> bool:
        """Raises UsageError for a problem without a reference answer, or with a tolerance that is no number."""
        return (await self.verdict(problem, answer)).outcome == "same"

    async def verdict(self, problem: Problem, answer: str) -> Verdict:
        """As ``correct``, with the rule that decided."""
        if problem.answer is None:
            raise UsageError(f"problem {problem.id} has no reference answer to grade by")
        wanted, given = read_choice(problem.answer), read_choice(answer)
        if wanted and given:
            return Verdict("same" if wanted.letter == given.letter else "different", "choice letter")
        gold = wanted.text if wanted and wanted.text else problem.answer
        verdict = await self._compared(gold, answer, problem)
        if verdict.outcome != "same" and given and given.text:
            verdict = await self._compared(gold, given.text, problem)
        return verdict

    async def valid(self, problem: Problem, answer: str) -> bool:
        if read_numeral(answer) or read_time(answer) or is_words(answer):
            return True
        return bool(normalise(answer)) and await decide_async(_parses(answer))

    async def _compared(self, gold: str, answer: str, problem: Problem) -> Verdict:
        same = await decide_async(self._comparison(gold, answer, problem.metadata, _tolerance(problem)))
        return Verdict("same" if same else "different", "comparison")

    def _comparison(self, gold: str, answer: str, about: Any, absolute: float) -> Comparison:
        if about.get("multiple") and (yield from compare_collections(_listed(gold), _listed(answer))):
            return True
        if (yield from compare(gold, answer)):
            return True
        return (absolute > 0 or self.relative > 0) and (yield from _close(gold, answer, absolute, self.relative))

    def _leniency(self, absolute: float = 0.0) -> Leniency:
        return Leniency(
            self.percent,
            self.digits,
            self.units,
            self.labels,
            self.any_order,
            absolute=absolute,
            relative=self.relative,
        )


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


def _tolerance(problem: Problem) -> float:
    """The absolute error that the problem allows; raises UsageError where that is no finite number."""
    return read_tolerance(problem.metadata.get("tolerance"), f"problem {problem.id}")


def read_tolerance(value: Any, where: str) -> float:
    """A tolerance as data files write it: nothing, a number, or a number in a string such as ``1e-1``."""
    try:
        tolerance = float(value or 0)
    except (TypeError, ValueError):
        tolerance = math.nan
    if not 0 <= tolerance < math.inf:
        raise UsageError(f"{where}: a tolerance is a finite number of at least 0, not {value!r}")
    return tolerance


@lru_cache(maxsize=100_000)
def _plain(answer: str) -> str | None:
    """The value of a number that equals only numbers of its value, or the words of an answer in words; else None.

    A percentage may be its hundredth, and a decimal the rounding of a fraction or, with an exponent, of an integer.
    """
    number = read_numeral(answer)
    if number is None:
        return f"words {normalise(answer)}" if is_words(answer) and len(answer) <= MAX_CHARS else None
    plain = number.step <= 1 if number.step else number.value.denominator == 1
    return str(number.value) if plain and not number.percent else None


def _parses(answer: str) -> Comparison:
    return (yield Check("parses", answer))


def _close(gold: str, answer: str, absolute: float, relative: float) -> Comparison:
    """Whether both are numbers no further apart than the tolerance."""
    a, b = read_numeral(gold), read_numeral(answer)
    if a and b:
        return abs(a.value - b.value) <= max(absolute, relative * abs(a.value))
    if is_words(answer):
        return False
    return (yield Check("close", gold, answer, absolute=absolute, relative=relative))


def _listed(answer: str) -> Collection:
    """``answer`` as a list in no order: what a set or a bare list holds, or its only item."""
    collection = read_collection(answer)
    return collection if collection and not collection.ordered else Collection("", (answer,))
