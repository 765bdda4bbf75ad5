"""A grader from a function: (problem, text) -> how right it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from widthwise.backends.called import Called, named, parameters_of
from widthwise.core.brief import Brief
from widthwise.core.errors import UsageError, WidthwiseError, reason_of
from widthwise.core.problem import Grade, Grader, Partition, Problem

_CONTRACT = "a function of (problem, text), plain or async, that returns True, False or a number from 0 to 1"


@dataclass(frozen=True)
class FunctionGrader(Brief, Grader):
    """Grades by ``function(problem, text)``; ``text`` is what a trace says after its thinking.

    ``reads`` reads the answers, with which traces vote: by default the suite's own grader. If it reads none in a text,
    the whole text is the answer. An exception in the function fails the problem. Raises ``UsageError`` for something
    that is not such a function.
    """

    function: Callable[..., Any]
    reads: Grader | None = None

    judges_texts = True

    def __post_init__(self) -> None:
        known = parameters_of(self.function) if callable(self.function) else {}
        if known is not None and (len(known) < 2 or sum(known.values()) > 2):
            raise UsageError(f"a grader is made of {_CONTRACT}; found {self.function!r:.60}")

    @property
    def name(self) -> str:
        return named(self.function)

    @property
    def settings(self) -> Mapping[str, Any]:
        return {} if self.reads is None else {"reads": self.reads.name}

    def reading_as(self, suite: Grader) -> FunctionGrader:
        """This grader, with answers read as the suite reads them unless ``reads`` was given."""
        return self if self.reads is not None else replace(self, reads=suite)

    def for_problem(self, problem: Problem) -> Grader:
        return self if self.reads is None else replace(self, reads=self.reads.for_problem(problem))

    def extract(self, text: str) -> str | None:
        read = None if self.reads is None else self.reads.extract(text)
        return read if read is not None else text.strip() or None

    async def partition(self, answers: Sequence[str]) -> Partition:
        return await (super().partition(answers) if self.reads is None else self.reads.partition(answers))

    async def correct(self, problem: Problem, answer: str) -> Grade:
        try:
            grade: Any = await Called(self.function).one(problem, answer)
        except WidthwiseError:
            raise
        except Exception as error:  # the user's function may raise anything
            raise WidthwiseError(f"the grader {self.name} failed with {reason_of(error)}") from error
        if hasattr(grade, "item"):  # a number of numpy
            grade = grade.item()
        if not isinstance(grade, bool | int | float) or not 0 <= grade <= 1:
            raise UsageError(
                f"the grader {self.name} does not fit: it must be {_CONTRACT}; it returned {grade!r:.60} "
                f"({type(grade).__name__})"
            )
        return grade


def grader_or(own: Grader | None, told: Callable[[], Grader]) -> Grader:
    """``own``, else the one that is ``told``, which also reads the answers for a function."""
    return own.reading_as(told()) if isinstance(own, FunctionGrader) else own or told()
