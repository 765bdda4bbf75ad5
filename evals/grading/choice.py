"""The grader of multiple-choice answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

from widthwise.core.errors import UsageError
from widthwise.core.problem import Partition, Problem
from widthwise.evals.grading.boxes import listed_boxes
from widthwise.evals.grading.choice_reading import LETTERS, called_right, choice, chosen, standing_alone
from widthwise.evals.grading.equality import Verdict
from widthwise.evals.grading.extraction import Policy
from widthwise.evals.grading.lines import answer_lines, sentences, tags
from widthwise.evals.grading.policy_grader import PolicyGrader


def choice_policy(options: Sequence[str] = ()) -> Policy:
    """How a text chooses among ``options``, their texts in the order of their letters."""
    return Policy(
        (listed_boxes, tags, answer_lines, sentences, chosen, called_right),
        partial(choice, options=options),
        (partial(standing_alone, options=options),),
        "the letter of an option, or its text where only one option has it",
    )


ANY_LETTER = choice_policy()


@dataclass(frozen=True)
class ChoiceGrader(PolicyGrader):
    """Grades choices among the ``options`` in a problem's metadata; an answer is a letter, and votes go by letter."""

    name: str = "choice"
    policy: Policy = ANY_LETTER

    def for_problem(self, problem: Problem) -> Self:
        """Also reads the options' texts."""
        return replace(self, policy=choice_policy(options_of(problem)))

    async def partition(self, answers: Sequence[str]) -> Partition:
        return Partition.of(self.extract(answer) or answer for answer in answers)

    async def correct(self, problem: Problem, answer: str) -> bool:
        """Raises UsageError for a problem whose reference answer is not the letter of an option."""
        return (await self.verdict(problem, answer)).outcome == "same"

    async def verdict(self, problem: Problem, answer: str) -> Verdict:
        """Like ``correct``, with the rule that decided."""
        options = options_of(problem)
        if problem.answer is None or problem.answer not in LETTERS[: len(options) or None]:
            raise UsageError(f"problem {problem.id} is not multiple choice: its reference answer is {problem.answer!r}")
        letter = choice(answer, False, options)
        if not letter:
            return Verdict("different", "no choice")
        return Verdict("same" if letter == problem.answer else "different", "choice letter")

    async def valid(self, problem: Problem, answer: str) -> bool:
        return bool(choice(answer, False, options_of(problem)))


def options_of(problem: Problem) -> tuple[str, ...]:
    """The texts of a problem's options, in the order of their letters; none for another kind of problem."""
    options = problem.metadata.get("options")
    return tuple(map(str, options)) if isinstance(options, list | tuple) else ()
