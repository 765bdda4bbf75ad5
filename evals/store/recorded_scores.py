"""The reward model's scores for a run's traces, as numbers, from the run file alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.rewards.reward import REDUCTIONS, solution_steps
from widthwise.core.scores.trace_score import check_reduction
from widthwise.core.session.score_memory import digests
from widthwise.core.trace.trace import Trace
from widthwise.evals.store.recorded_asking import asking_in
from widthwise.evals.store.recorded_saying import saying_in
from widthwise.evals.store.store import Store


class RecordedScores:
    """Finds the scores of a trace by its steps, cut as they were when it was scored."""

    def __init__(self, store: Store) -> None:
        asking = asking_in(store.manifest) or {}
        self._store = store
        self._saying = saying_in(store.manifest)
        self._separator = asking.get("step_separator") or PromptFormat("").step_separator
        self._by_lines = by_lines_in(store.manifest)

    def reduced(self, problem_id: str, trace: Trace, reduction: str) -> float | None:
        """The trace's scores as one number; None if it was not scored. ``UsageError`` for an unknown reduction."""
        check_reduction(reduction)
        whole, text = reduction == "model", self._saying.said(trace)
        steps = solution_steps(text, self._separator, by_lines=self._by_lines, whole=whole)
        found = self._store.recorded_scores(problem_id, digests(steps)[-1])
        return None if found is None else next(found.reduced(known) for known in REDUCTIONS if known == reduction)


def by_lines_in(manifest: Mapping[str, Any]) -> bool:
    """Whether the run's reward model got every line as a step."""
    said = manifest.get("reward_model")
    return isinstance(said, dict) and said.get("by_lines") is True
