"""The grader of countdown expressions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.evals.grading import extraction
from widthwise.evals.grading.extraction import Policy, Reading, parts
from widthwise.evals.grading.rules_grader import RulesGrader
from widthwise.evals.suites import countdown
from widthwise.evals.suites.search_path import expression_of_path


@dataclass(frozen=True)
class CountdownGrader(RulesGrader):
    """Grades expressions that must reach a target with given numbers, each used once.

    A problem gives ``numbers`` and, unless its answer is the target itself, ``target`` in its metadata.
    """

    name: str = "countdown"
    policy: Policy = extraction.COUNTDOWN
    what: ClassVar[str] = "judges expressions that must reach a target with given numbers, each used once"
    rule: ClassVar[str] = "the expression reaches the target with the given numbers"

    def read(self, text: str) -> Reading | None:
        """Like ``extract``, with where the answer was found; the clean path of a written-out search counts."""
        for part in parts(text, self.thinking):
            if (found := expression_of_path(part)) is not None:
                return Reading(found, "path", 0, part)
        return super().read(text)

    def form(self, answer: str) -> str:
        return _form(answer)

    async def valid(self, problem: Problem, answer: str) -> bool:
        """Raises UsageError if the problem names no numbers or no target."""
        numbers, target = _task(problem)
        return countdown.check(answer, numbers, target)


@lru_cache(maxsize=100_000)
def _form(expression: str) -> str:
    """The common form of equal expressions; anything else is equal only to its own spelling."""
    return countdown.canonical(expression) or f"? {' '.join(expression.split())}"


def _task(problem: Problem) -> tuple[Sequence[int], int]:
    target = problem.metadata.get("target", problem.answer)
    try:
        return [int(number) for number in problem.metadata["numbers"]], int(target or "")
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"problem {problem.id} is not a countdown problem: it needs `numbers` and a target") from error
