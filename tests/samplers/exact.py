"""A reward model that knows whether a countdown target can still be reached."""

from __future__ import annotations

import re
from collections.abc import Sequence

from widthwise.core.problem import Problem
from widthwise.core.rewards.reward import Solution, StepScores
from widthwise.evals.suites import countdown

_LEFT = re.compile(r"left ([\d ]+)")


class ExactCountdown:
    """Scores each step 0.9 if the remaining numbers can make the target, else 0.1."""

    name = "exact"
    kind = "process"

    def __init__(self) -> None:
        self.calls = 0

    async def score(self, problem: Problem, solutions: Sequence[Solution]) -> list[StepScores]:
        self.calls += 1
        return [StepScores(tuple(_score(problem, step) for step in s.steps), tokens=len(s.steps)) for s in solutions]


def _score(problem: Problem, step: str) -> float:
    target, left = problem.metadata["target"], _LEFT.search(step)
    if left is not None:
        numbers = tuple(sorted(map(int, left[1].split())))
        return 0.9 if len(numbers) <= 6 and target in countdown.reachable(numbers) else 0.1
    box = re.search(r"\\boxed\{(.*)\}", step)
    if box is not None:
        return 0.9 if countdown.check(box[1], problem.metadata["numbers"], target) else 0.1
    return 0.9 if step.strip().endswith(f"= {target}") else 0.1
