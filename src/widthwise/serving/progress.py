"""What a strategy does while a client waits: one line for each generation that has ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from widthwise.core.rewards.reward import StepScores
from widthwise.core.session.session import Session
from widthwise.core.trace.trace import Segment, Trace, TraceId, name


class Progress:
    """A journal that keeps nothing and reports each generation as it ends, with the answer that it states, if any."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self.session: Session | None = None

    def recorded(self, problem_id: str, trace_id: TraceId, params: str, seed: int, model: str = "") -> Segment | None:
        return None

    def record(self, problem_id: str, trace: Trace) -> None:
        answer = self.session.answer(trace) if self.session is not None else None
        stated = "" if answer is None else f", answer {answer}"
        self._tell(f"{name(trace.id)}: {trace.tokens} tokens{stated}\n")

    def recorded_scores(self, problem_id: str, key: str) -> StepScores | None:
        return None

    def record_scores(self, problem_id: str, scores: Sequence[tuple[TraceId, str, StepScores]]) -> None:
        self._tell(f"{len(scores)} solutions scored\n")
