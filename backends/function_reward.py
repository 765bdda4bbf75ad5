"""A reward model from a function."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

from widthwise.backends.called import Called, named, parameters_of
from widthwise.core.brief import Brief
from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.core.rewards.reward import RewardKind, Solution, StepScores

_CONTRACT = (
    "a function of (problem, text) that returns a score from 0 to 1, or of (problem, steps) that returns one for each"
)


class FunctionRewardModel(Brief):
    """Scores solutions by ``function(problem, text)``, or step by step by ``function(problem, steps)``.

    The first is an outcome reward model and returns one number from 0 to 1 (True and False are 1 and 0); the second,
    with a parameter named ``steps`` or ``kind="process"``, returns as many numbers as there are steps. The function may
    be ``async``; a plain one runs in threads. Its exceptions, and invalid scores, are errors of the trace in question.
    Raises ``UsageError`` for something that is not such a function.
    """

    def __init__(
        self, function: Callable[..., Any], *, kind: RewardKind | None = None, name: str | None = None
    ) -> None:
        known = parameters_of(function) if callable(function) else {}
        parameters = ["problem", "text"] if known is None else list(known)
        if len(parameters) < 2:
            raise UsageError(f"a reward model is made of {_CONTRACT}; found {function!r:.60}")
        self._called = Called(function)
        self._function = named(function)
        self.name = name or f"function:{self._function}"
        self.kind: RewardKind = kind or ("process" if parameters[1:2] == ["steps"] else "outcome")

    async def score(self, problem: Problem, solutions: Sequence[Solution]) -> list[StepScores]:
        return list(await asyncio.gather(*(self._score(problem, solution) for solution in solutions)))

    async def _score(self, problem: Problem, solution: Solution) -> StepScores:
        if self.kind == "process":
            said = await self._called.one(problem, list(solution.steps))
            scores = list(said) if isinstance(said, Sequence) and not isinstance(said, str) else [None]
        else:
            scores = [await self._called.one(problem, solution.text())]
        numbers = tuple(float(score) for score in scores if isinstance(score, Real))
        if len(numbers) < len(scores):
            found = said if self.kind == "process" else scores[0]
            return StepScores(None, error=f"{self._function} returned {found!r:.60}, which is not a score")
        return StepScores(numbers)

    def describe(self) -> Mapping[str, Any]:
        return {"name": self.name, "function": self._function}
