"""Looking at traces: answers and classes, scores, and what judges' replies say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from widthwise.core.answer import AnswerClass, group
from widthwise.core.backend import FloatArray
from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.core.prompting.verdict import bare, choice, concluded, verdict
from widthwise.core.rewards.reward import StepScores, steps_of, without_end
from widthwise.core.session.drawing import Drawing
from widthwise.core.session.score_memory import Scoring
from widthwise.core.session.setting import Setting
from widthwise.core.trace.trace import Trace, TraceId


class Judging(Drawing):
    """The half of a session that looks at traces; nothing here makes the tree grow."""

    def __init__(self, problem: Problem, setting: Setting, **terms: Any) -> None:
        super().__init__(problem, setting, **terms)
        self.step_separator = self._setting.format.step_separator
        self._grader = setting.grader.for_problem(problem)
        self._scoring: Scoring | None = None
        self._answers: dict[Trace, str | None] = {}

    async def score(self, traces: Sequence[Trace], *, whole: bool = False) -> list[StepScores]:
        """Scores of the traces' steps by the run's reward model, in order; raises ``UsageError`` without one.

        ``whole`` gives each trace to the reward model as a single step (the reduction "model"). What was scored
        before is not scored again, nor is a prefix of steps. A failure is an ``error`` in the trace's scores.
        """
        if self._scoring is None:
            self._scoring = self._begin_scoring()
        texts = {t.id: self._said(t) for t in traces}
        split = {i: (text.strip(),) if whole else steps_of(text, self.step_separator) for i, text in texts.items()}
        scores = await self._scoring.score({i: tuple(step for step in steps if step) for i, steps in split.items()})
        self.ledger.scoring += sum(s.tokens for s in scores)
        by_id = dict(zip(texts, scores, strict=True))
        return [by_id[t.id] for t in traces]

    @property
    def scores(self) -> Mapping[TraceId, StepScores]:
        """What the reward model last said of each trace it was asked about."""
        return {} if self._scoring is None else self._scoring.by_trace

    async def embed(self, texts: Sequence[str]) -> FloatArray:
        """Vectors of unit length, ``float32 [texts, dimensions]``, near for texts of like meaning.

        Raises ``UsageError`` for a run without an embedding model, ``BackendError`` where it fails.
        """
        if self._setting.embedder is None:
            raise UsageError(
                "this strategy compares texts, but the run has no embedding model: name one (--embedding-model)"
            )
        if not texts:
            return np.empty((0, 0), np.float32)
        vectors, tokens = await self._setting.embedder.embed(texts)
        self.ledger.embedding += tokens
        return vectors

    def answer(self, trace: Trace) -> str | None:
        """The final answer that ``trace`` states; None for pruned, aborted and failed traces, and for threads.

        None too where a pruner has taken the trace's vote (``weight`` 0).
        """
        if trace.finish in ("pruned", "aborted", "error") or self._is_part(trace) or not self.weight(trace):
            return None
        if trace.finish is None:
            return self._grader.extract(trace.completion)
        if trace not in self._answers:
            self._answers[trace] = self._grader.extract(trace.completion)
        return self._answers[trace]

    def solution(self, trace: Trace) -> str:
        """What ``trace`` says, as a reader is to see it: without its thinking and the end-of-sequence token."""
        return concluded(self._said(trace), self._setting.format.thinking_end)

    def ending(self, text: str, tokens: int) -> str:
        """The last ``tokens`` tokens of ``text``; all of it where it is no longer."""
        ids = self._tokenizer.encode(text)
        return text if len(ids) <= tokens else self._tokenizer.decode(ids[len(ids) - tokens :])

    def verdict(self, trace: Trace) -> float | None:
        """The probability of "right" with which a judge's reply ends; None where it ends with no verdict.

        Read from the log-probabilities of the verdict's token, where they were recorded; else 1 or 0. A reply that
        was cut off says something only if it is nothing but a verdict.
        """
        if trace.finish != "stop" and not bare(trace.segment.text, self._setting.format.verdicts):
            return None
        return verdict(trace.segment, self._said(trace), self._tokenizer, self._setting.format.verdicts)

    def choice(self, trace: Trace, count: int) -> int | None:
        """The number from 1 to ``count`` with which a judge's reply ends; None where it names none, or several."""
        return choice(self._said(trace), count) if trace.finish == "stop" else None

    async def classes(self, traces: Sequence[Trace]) -> list[AnswerClass]:
        """The traces that state an answer, grouped by equivalent answers, in order of first appearance.

        A class weighs as much as its traces' votes count: one each, where no pruner says otherwise (``weight``).
        """
        answers = [self.answer(t) for t in traces]
        groups = await group(self._grader, answers)
        members = [tuple(traces[i] for i in g) for g in groups]
        return [AnswerClass(self.answer(g[0]) or "", g, sum(map(self.weight, g))) for g in members]

    def weight(self, trace: Trace) -> float:
        """How much the trace's vote counts: 1 unless pruners say otherwise, 0 for no vote."""
        return math.prod(self._votes.get(trace.id, {}).values(), start=1.0)

    async def valid(self, trace: Trace) -> bool:
        """Whether ``trace`` states an answer that passes every check possible without the reference."""
        answer = self.answer(trace)
        return answer is not None and await self._grader.valid(self.problem, answer)

    @property
    def errors(self) -> tuple[str, ...]:
        """The sentences of requests that failed for good: the policy's, judges', the reward model's."""
        failed = [str(t.segment.reason) for _, t in sorted(self.traces.items()) if t.finish == "error"]
        return (*failed, *(s.error for s in self.scores.values() if s.error and not s.too_long))

    def _begin_scoring(self) -> Scoring:
        model = self._setting.reward_model
        if model is None:
            raise UsageError("this strategy scores traces, but the run has no reward model: name one (--reward-model)")
        return Scoring(model, self.problem, journal=self._journal, limit=self._setting.patience)

    def _said(self, trace: Trace) -> str:
        """The completion without the end-of-sequence token that it may spell."""
        return without_end(trace.completion, [self._tokenizer.decode([end]) for end in self._tokenizer.eos_ids])
