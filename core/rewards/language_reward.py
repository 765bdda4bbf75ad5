"""A language model as a reward model: an engine that reads token sequences, and the format of its family."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from widthwise.core.arrays import IntArray
from widthwise.core.brief import Brief
from widthwise.core.errors import AccessRefused, BackendError, PromptTooLong, WidthwiseError
from widthwise.core.problem import Problem
from widthwise.core.retry import Retry
from widthwise.core.rewards.reading import Read, Reader, Reading
from widthwise.core.rewards.reward import RewardKind, Solution, StepScores
from widthwise.core.rewards.reward_format import LaidOutSolution, RewardFormat


class LanguageRewardModel(Brief):
    """Scores solutions with ``reader``, laid out in ``format``.

    All solutions of all problems go to the engine at once, which batches them; ``max_requests`` bounds how many are in
    flight. A request that fails temporarily is sent again. ``StepScores.tokens`` counts what would be computed with a
    prefix cache that forgets nothing within a call and keeps scored steps between calls (all tokens on an engine
    without a cache), so it does not depend on what else the engine does. Raises ``UsageError`` if the model's
    vocabulary lacks the format's tokens.
    """

    def __init__(
        self, reader: Reader, format: RewardFormat, *, max_requests: int = 512, retry: Retry | None = None
    ) -> None:
        format.check(reader.tokenizer)
        self.name = reader.name
        self.format = format
        self._reader = reader
        self._labels = format.label_ids(reader.tokenizer)
        self._slots = asyncio.Semaphore(max_requests)
        self._retry = retry or Retry()

    @property
    def kind(self) -> RewardKind:
        return self.format.kind

    @property
    def by_lines(self) -> bool:
        """Whether every line of a solution is a step, including blank ones."""
        return self.format.lines

    async def score(self, problem: Problem, solutions: Sequence[Solution]) -> list[StepScores]:
        """Scores per solution; a solution that cannot be read is unscored, with the reason."""
        laid = [self.format.laid_out(self._reader.tokenizer, problem, s.steps) for s in solutions]
        costs = self._costs(laid, solutions)
        work = [self._scores(problem, *each) for each in zip(laid, solutions, costs, strict=True)]
        return list(await asyncio.gather(*work))

    @property
    def identity(self) -> Mapping[str, Any] | None:
        """Which model answers at the reader's address, if the address alone does not identify it."""
        return getattr(self._reader, "identity", None)

    def describe(self) -> Mapping[str, Any]:
        """For the run's manifest: the engine's description and the format's name."""
        return {**self._reader.describe(), "format": self.format.name, "kind": self.kind}

    async def close(self) -> None:
        await self._reader.close()

    async def _scores(self, problem: Problem, laid: LaidOutSolution, solution: Solution, cost: int) -> StepScores:
        known = solution.known
        reading = Reading(laid.ids, laid.positions[len(known) :], self._labels, problem.id, laid.conversation)
        try:
            read = await self._read(reading)
            if read.silence is not None:
                return StepScores(None, cost + read.written, read.silence, abstained=True)
            if len(read.values) != len(reading.positions):
                raise BackendError(
                    f"{self.name} gave {len(read.values)} scores where {len(reading.positions)} were expected"
                )
            return StepScores((*known, *self.format.scores(read.values)), cost + read.written)
        except AccessRefused:
            raise
        except WidthwiseError as error:
            return StepScores(None, error=str(error), abstained=isinstance(error, PromptTooLong))

    async def _read(self, reading: Reading) -> Read:
        """Read, trying again while that may help."""

        async with self._slots:
            return await self._retry.persist(
                partial(self._reader.read, reading), f"a reading of problem {reading.problem}"
            )

    def _costs(self, laid: Sequence[LaidOutSolution], solutions: Sequence[Solution]) -> list[int]:
        """Tokens of each solution that neither an earlier scoring nor a solution sorted before it has computed."""
        costs = [len(each.ids) for each in laid]
        if not self._reader.reuses_prefixes:
            return costs
        order = sorted(range(len(laid)), key=lambda i: laid[i].ids.tolist())
        for place, i in enumerate(order):
            known = laid[i].positions[len(solutions[i].known) - 1] + 1 if solutions[i].known else 0
            shared = _shared(laid[order[place - 1]].ids, laid[i].ids) if place else 0
            costs[i] -= max(known, shared)
        return costs


def _shared(a: IntArray, b: IntArray) -> int:
    """How many leading tokens two sequences share."""
    n = min(len(a), len(b))
    differs = np.flatnonzero(a[:n] != b[:n])
    return int(differs[0]) if len(differs) else n
