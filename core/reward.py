"""The contract of reward models: scores for the steps of a trace, or for the whole of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from widthwise.core.backend import FloatArray
from widthwise.core.problem import Problem

Reduction = Literal["last", "min", "prod", "mean", "model"]
REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)


def reduce(steps: Sequence[float], kind: Reduction) -> float:
    """One score from the scores of the steps, as Snell et al. (arXiv 2408.03314) and its_hub do; 0 for no step.

    "model" is the last one too: the solution was given to the reward model as a single step.
    """
    if not steps:
        return 0.0
    match kind:
        case "min":
            return min(steps)
        case "prod":
            return math.prod(steps)
        case "mean":
            return math.fsum(steps) / len(steps)
        case "last" | "model":
            return steps[-1]


@dataclass(frozen=True, slots=True)
class StepScores:
    """Scores of one text, first step first; an outcome reward model gives a single one.

    ``steps`` is None where the text could not be scored, and then ``error`` says why: unscored is not zero.
    ``tokens`` were read by the reward model.
    """

    steps: tuple[float, ...] | None
    tokens: int = 0
    error: str | None = None

    def reduced(self, kind: Reduction) -> float | None:
        """One number; None where unscored."""
        return None if self.steps is None else reduce(self.steps, kind)

    @property
    def last(self) -> float | None:
        """The score after the last step: the usual reduction to one number."""
        return self.steps[-1] if self.steps else None

    def checked(self) -> StepScores:
        """These scores if they are numbers in [0, 1]; otherwise unscored, with what is wrong."""
        if self.steps is None:
            return self if self.error else StepScores(None, self.tokens, "the reward model gave no scores")
        wrong = _fault(self.steps)
        return StepScores(None, self.tokens, f"the reward model {wrong}") if wrong else self


def _fault(steps: Sequence[float]) -> str | None:
    if not steps:
        return "gave no score"
    outside = [score for score in steps if not 0 <= score <= 1]
    return f"gave the score {outside[0]:g}, which is not in [0, 1]" if outside else None


def failed(solutions: Sequence[Any], reason: str) -> list[StepScores]:
    """No scores for any of these, for one reason."""
    return [StepScores(None, error=reason) for _ in solutions]


class RewardModel(Protocol):
    """Scores solutions of a problem; a process reward model one score per step."""

    name: str

    async def score(self, problem: Problem, texts: Sequence[str]) -> list[StepScores]:
        """One ``StepScores`` per text, in order."""
        ...


class Embedder(Protocol):
    """Turns texts into vectors of unit length, near for texts of like meaning.

    ``embed`` gives ``float32 [texts, dimensions]`` and the number of tokens it read; it raises ``BackendError``.
    """

    async def embed(self, texts: Sequence[str]) -> tuple[FloatArray, int]: ...
