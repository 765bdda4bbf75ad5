"""The judges of answers: plain mathematics, and countdown expressions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.evals.grading import extraction
from widthwise.evals.grading.comparison import Comparison, compare, compare_collections, decide, decide_async
from widthwise.evals.grading.extraction import Policy, extract
from widthwise.evals.grading.normalisation import MAX_CHARS, normalise
from widthwise.evals.grading.numerals import read_numeral
from widthwise.evals.grading.structure import Collection, is_words, read_collection, read_time
from widthwise.evals.grading.workers import Check
from widthwise.evals.suites import countdown


def equivalent(gold: str, prediction: str) -> bool:
    """Whether ``prediction``, an answer or a text that states one, means the same as ``gold``.

    Bounded in time whatever the strings. Raises WidthwiseError when no grading worker can be started.
    """
    return decide(compare(_stated(gold), _stated(prediction)))


def _stated(text: str) -> str:
    """The answer that a text states; the text itself where it states none (it may be a bare answer)."""
    return extract(text, extraction.MATH) or text


@dataclass(frozen=True, slots=True)
class MathGrader:
    """Judges mathematical answers: numbers, expressions, lists, intervals, equations, words, choices.

    ``policy`` says where answers stand in a text. ``relative`` is the relative error that a numeric answer may
    have. A problem's metadata may ask for more: ``tolerance`` (absolute error), ``multiple`` (the reference is a list
    in any order).
    """

    name: str = "math"
    policy: Policy = extraction.MATH
    relative: float = 0.0

    def extract(self, text: str) -> str | None:
        return extract(text, self.policy)

    def form(self, answer: str) -> str:
        return normalise(answer)

    def bucket(self, answer: str) -> str | None:
        return _plain(answer)

    async def equivalent(self, a: str, b: str) -> bool:
        return a == b or await decide_async(compare(a, b))

    async def correct(self, problem: Problem, answer: str) -> bool:
        """Raises UsageError for a problem without a reference answer."""
        if problem.answer is None:
            raise UsageError(f"problem {problem.id} has no reference answer to grade by")
        return await decide_async(self._comparison(problem.answer, answer, problem.metadata))

    async def valid(self, problem: Problem, answer: str) -> bool:
        if read_numeral(answer) or read_time(answer) or is_words(answer):
            return True
        return bool(normalise(answer)) and await decide_async(_parses(answer))

    def _comparison(self, gold: str, answer: str, about: Any) -> Comparison:
        if about.get("multiple") and (yield from compare_collections(_listed(gold), _listed(answer))):
            return True
        if (yield from compare(gold, answer)):
            return True
        absolute = _number(about.get("tolerance"))
        return (absolute > 0 or self.relative > 0) and (yield from _close(gold, answer, absolute, self.relative))


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


def _number(value: Any) -> float:
    try:
        return float(value or 0)
    except (TypeError, ValueError):
        return 0.0


@dataclass(frozen=True, slots=True)
class CountdownGrader:
    """Judges expressions that must reach a target with given numbers, each used once.

    A problem gives ``numbers`` and, unless its answer is the target itself, ``target`` in its metadata.
    """

    name: str = "countdown"
    policy: Policy = extraction.COUNTDOWN

    def extract(self, text: str) -> str | None:
        return extract(text, self.policy)

    def form(self, answer: str) -> str:
        return _form(answer)

    def bucket(self, answer: str) -> str | None:
        return _form(answer)

    async def equivalent(self, a: str, b: str) -> bool:
        return _form(a) == _form(b)

    async def correct(self, problem: Problem, answer: str) -> bool:
        return await self.valid(problem, answer)

    async def valid(self, problem: Problem, answer: str) -> bool:
        """Raises UsageError where the problem names no numbers or no target."""
        numbers, target = _task(problem)
        return countdown.check(answer, numbers, target)


@lru_cache(maxsize=100_000)
def _form(expression: str) -> str:
    """What equal expressions share; what is no expression is only equal to its own spelling."""
    return countdown.canonical(expression) or f"? {normalise(expression)}"


def _task(problem: Problem) -> tuple[Sequence[int], int]:
    target = problem.metadata.get("target", problem.answer)
    try:
        return [int(number) for number in problem.metadata["numbers"]], int(target or "")
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"problem {problem.id} is no countdown problem: it needs `numbers` and a target") from error
