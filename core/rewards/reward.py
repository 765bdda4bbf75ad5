"""The contract of reward models: scores for each step of a solution, or one for the whole of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from widthwise.core.brief import Brief
from widthwise.core.problem import Problem

RewardKind = Literal["process", "outcome"]
"""What a reward model scores: every step, or the whole solution once."""

StepReduction = Literal["last", "min", "prod", "mean", "model"]
REDUCTIONS: tuple[StepReduction, ...] = get_args(StepReduction)


def reduce(steps: Sequence[float], kind: StepReduction) -> float:
    """One score from the scores of at least one step, as in Snell et al. (arXiv 2408.03314) and its_hub.

    "model" is the last score too: the solution was given to the reward model as a single step (``Session.score`` with
    ``whole``).
    """
    match kind:
        case "min":
            return min(steps)
        case "prod":
            return math.prod(steps)
        case "mean":
            return math.fsum(steps) / len(steps)
        case "last" | "model":
            return steps[-1]


def steps_of(text: str, separator: str) -> tuple[str, ...]:
    """The steps of a solution, without surrounding whitespace.

    A separator at the end begins no further step, and neither do several in a row: a score read at an empty step would
    say nothing about the solution.
    """
    return tuple(step for part in text.split(separator) if (step := part.strip()))


def solution_steps(text: str, separator: str, *, by_lines: bool = False, whole: bool = False) -> tuple[str, ...]:
    """The steps in which a reward model is given what a trace says: one a line, or all of it as a single one.

    Nothing is said in no step.
    """
    if whole or not text.strip():
        return tuple(filter(None, (text.strip(),)))
    return tuple(text.strip().split("\n")) if by_lines else steps_of(text, separator)


@dataclass(frozen=True, slots=True)
class Solution(Brief):
    """What is to be scored: ``steps``, of which the first ``len(known)`` already have the scores ``known``.

    These are the same model's scores of an earlier solution with the same first steps.
    """

    steps: tuple[str, ...]
    known: tuple[float, ...] = ()

    def text(self, separator: str = "\n\n") -> str:
        return separator.join(self.steps)


@dataclass(frozen=True, slots=True)
class StepScores(Brief):
    """Scores of one solution in [0, 1], first step first; an outcome reward model gives a single one.

    ``steps`` is None if it could not be scored, and ``error`` then says why: unscored is not zero. ``tokens`` were read
    by the reward model, not counting what was scored before or held by a prefix cache. ``abstained`` says that nothing
    failed: the solution does not fit the model's context, or a judge names no score, and the same would happen next
    time.
    """

    steps: tuple[float, ...] | None
    tokens: int = 0
    error: str | None = None
    abstained: bool = False

    def reduced(self, kind: StepReduction) -> float | None:
        """One number; None if unscored, or if there was no step to score."""
        return reduce(self.steps, kind) if self.steps else None

    @property
    def last(self) -> float | None:
        """The score after the last step, the usual reduction to one number."""
        return self.reduced("last")

    def checked(self, expected: int) -> StepScores:
        """These scores if they are ``expected`` numbers in [0, 1]; otherwise unscored, with the reason."""
        if self.steps is None:
            return self if self.error else StepScores(None, self.tokens, "the reward model gave no scores")
        wrong = _fault(self.steps, expected)
        return StepScores(None, self.tokens, f"the reward model {wrong}") if wrong else self


def _fault(steps: Sequence[float], expected: int) -> str | None:
    if len(steps) != expected:
        return f"gave {len(steps)} scores where {expected} were expected"
    if any(math.isnan(score) for score in steps):
        return f"scored step {1 + [math.isnan(s) for s in steps].index(True)} with NaN"
    outside = [score for score in steps if not 0 <= score <= 1]
    return f"gave the score {outside[0]:g}, which is not in [0, 1]" if outside else None


class RewardModel(Protocol):
    """Scores solutions of a problem: a process reward model each step, an outcome reward model the whole.

    ``score`` gives one ``StepScores`` per solution, in order, including the known scores. It may be called for many
    problems at once. Its exceptions, and scores that make no sense, are recorded as errors with the traces. A model
    whose ``by_lines`` is true gets every line of a solution as a step, including blank ones.
    """

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> RewardKind: ...

    async def score(self, problem: Problem, solutions: Sequence[Solution]) -> list[StepScores]: ...
