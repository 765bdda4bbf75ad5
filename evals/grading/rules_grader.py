"""Graders of problems that have no single right answer: a problem's rules decide."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from widthwise.core.problem import Partition, Problem
from widthwise.evals.grading.equality import Verdict
from widthwise.evals.grading.policy_grader import PolicyGrader


@dataclass(frozen=True)
class RulesGrader(PolicyGrader):
    """Grades by ``valid``; answers of the same ``form`` vote together, and ``rule`` is what a verdict says."""

    rule: ClassVar[str]

    @abstractmethod
    async def valid(self, problem: Problem, answer: str) -> bool:
        """Whether an answer satisfies the problem's rules."""

    @abstractmethod
    def form(self, answer: str) -> str:
        """The same text for equal answers."""

    async def partition(self, answers: Sequence[str]) -> Partition:
        return Partition.of(map(self.form, answers))

    async def correct(self, problem: Problem, answer: str) -> bool:
        return await self.valid(problem, answer)

    async def verdict(self, problem: Problem, answer: str) -> Verdict:
        """Like ``correct``, with the rule that decided."""
        return Verdict("same" if await self.valid(problem, answer) else "different", self.rule)
