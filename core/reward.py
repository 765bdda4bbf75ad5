"""The contract of reward models: scores for the steps of a trace, or for the whole of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from widthwise.core.problem import Problem


@dataclass(frozen=True, slots=True)
class StepScores:
    """Scores of one text, first step first; an outcome reward model gives a single one.

    ``steps`` is None where the text could not be scored, and then ``error`` says why: unscored is not zero.
    ``tokens`` were read by the reward model.
    """

    steps: tuple[float, ...] | None
    tokens: int = 0
    error: str | None = None

    @property
    def last(self) -> float | None:
        """The score after the last step: the usual reduction to one number."""
        return self.steps[-1] if self.steps else None


class RewardModel(Protocol):
    """Scores solutions of a problem; a process reward model one score per step."""

    name: str

    async def score(self, problem: Problem, texts: Sequence[str]) -> list[StepScores]:
        """One ``StepScores`` per text, in order."""
        ...
