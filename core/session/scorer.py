"""Numbers for traces and texts, from the run's reward model and its embedding model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.core.rewards.reward import StepScores, solution_steps
from widthwise.core.session.accounts import Accounts
from widthwise.core.session.journal import Journal
from widthwise.core.session.score_memory import ScoreMemory
from widthwise.core.session.setting import Setting
from widthwise.core.session.voices import Voices
from widthwise.core.trace.trace import Trace, TraceId

_THINKS = StepScores(None, error="it is still thinking, and steps of thinking are not scored", abstained=True)


class Scorer:
    """Cuts what traces say into steps and has them scored, has texts embedded, and charges for both.

    Reward models were not trained on steps of thinking: only what follows the thinking is scored. A trace that is still
    thinking is not scored, which is noted (``note``) once.
    """

    def __init__(
        self,
        problem: Problem,
        setting: Setting,
        accounts: Accounts,
        voices: Voices,
        *,
        journal: Journal | None,
        note: Callable[[Trace, str], None],
    ) -> None:
        self._note = note
        self._noted = False
        self._embedder = setting.embedder
        self._accounts = accounts
        self._voices = voices
        model = setting.reward_model
        self._by_lines = bool(getattr(model, "by_lines", False))
        self._memory = None if model is None else ScoreMemory(model, problem, journal=journal, limit=setting.patience)

    async def score(self, traces: Sequence[Trace], *, whole: bool = False) -> list[StepScores]:
        """Scores of the traces' steps, in order (see ``Session.score``)."""
        if self._memory is None:
            raise UsageError("this strategy scores traces, but the run has no reward model: name one (--reward-model)")
        steps = {t.id: self._steps(t, whole) for t in traces if not self._thinks(t)}
        scores = await self._memory.score(steps)
        self._accounts.charge_scoring(sum(s.tokens for s in scores))
        by_id = dict(zip(steps, scores, strict=True))
        return [by_id.get(t.id, _THINKS) for t in traces]

    def _thinks(self, trace: Trace) -> bool:
        thinks = self._voices.of(trace).transcript.is_thinking(trace)
        if thinks and not self._noted:
            self._noted = True
            self._note(trace, "the reward model scores what follows the thinking, and this trace is still thinking")
        return thinks

    def _steps(self, trace: Trace, whole: bool) -> tuple[str, ...]:
        voice = self._voices.of(trace)
        said, separator = voice.transcript.said(trace), voice.setting.format.step_separator
        return solution_steps(said, separator, by_lines=self._by_lines, whole=whole)

    @property
    def by_trace(self) -> Mapping[TraceId, StepScores]:
        """The reward model's last scores of each trace it was asked about."""
        return {} if self._memory is None else self._memory.by_trace

    @property
    def errors(self) -> list[str]:
        """Why traces could not be scored; an abstention is not an error."""
        return [s.error for s in self.by_trace.values() if s.error and not s.abstained]

    async def embed(self, texts: Sequence[str]) -> FloatArray:
        """Vectors of the texts, ``float32 [texts, dimensions]`` (see ``Session.embed``)."""
        if self._embedder is None:
            raise UsageError(
                "this strategy compares texts, but the run has no embedding model: name one (--embedding-model)"
            )
        if not texts:
            return np.empty((0, 0), np.float32)
        vectors, tokens = await self._embedder.embed(texts)
        self._accounts.charge_embedding(tokens)
        return vectors
