"""The grader of a file that mixes tasks: every problem is read and graded by its own task's grader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from widthwise.core.brief import Brief
from widthwise.core.problem import Grade, Grader, Partition, Problem


@dataclass(frozen=True, slots=True)
class MixedGrader(Brief):
    """Leaves each problem to the grader of its task: ``tasks`` by the problem's id, ``others`` for the rest."""

    tasks: Mapping[str, Grader]
    others: Grader
    name: str = "mixed"

    @property
    def settings(self) -> Mapping[str, Any]:
        graders = {grader.name: grader for grader in (self.others, *self.tasks.values())}
        return {name: dict(grader.settings) for name, grader in sorted(graders.items())}

    def for_problem(self, problem: Problem) -> Grader:
        return self.tasks.get(problem.id, self.others)

    def extract(self, text: str) -> str | None:
        return self.others.extract(text)

    async def partition(self, answers: Sequence[str]) -> Partition:
        return await self.others.partition(answers)

    async def correct(self, problem: Problem, answer: str) -> Grade:
        return await self.for_problem(problem).correct(problem, answer)

    def remark(self, problem: Problem, answer: str) -> str | None:
        return self.for_problem(problem).remark(problem, answer)

    async def valid(self, problem: Problem, answer: str) -> bool:
        return await self.for_problem(problem).valid(problem, answer)
