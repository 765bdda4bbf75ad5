"""A reward model that repeats the scores of an earlier run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from widthwise.core.problem import Problem
from widthwise.core.rewards.reward import RewardKind, Solution, StepScores
from widthwise.core.session.score_memory import digests
from widthwise.evals.store.recorded_scores import by_lines_in
from widthwise.evals.store.store import Store


class RecordedRewardModel:
    """The scores that ``path``, a run file, holds, for the same problems and the same steps; reads nothing.

    A solution that was not scored there is unscored. Raises ``UsageError`` if ``path`` is not a run file.
    """

    recorded = True

    def __init__(self, path: str | Path) -> None:
        self.name = f"replay:{path}"
        self._store = Store.read(path)
        self.kind: RewardKind = self._kind()
        self.by_lines = by_lines_in(self._store.manifest)

    async def score(self, problem: Problem, solutions: Sequence[Solution]) -> list[StepScores]:
        return [self._recorded(problem, solution) for solution in solutions]

    async def close(self) -> None:
        self._store.close()

    def _recorded(self, problem: Problem, solution: Solution) -> StepScores:
        found = self._store.recorded_scores(problem.id, digests(solution.steps)[-1])
        return found or StepScores(None, error=f"{self._store.path} has no scores for this solution of {problem.id}")

    def _kind(self) -> RewardKind:
        """Outcome scores are single ones; a run whose solutions have one step each looks the same."""
        told = self._store.manifest.get("reward_model", {}).get("kind")
        return "outcome" if told == "outcome" else "process"
