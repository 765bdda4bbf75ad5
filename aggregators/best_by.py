"""The answer of the trace with the best score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from widthwise.core.answer import Answer, AnswerClass
from widthwise.core.registry import register
from widthwise.core.scores.trace_score import check_score, logprobs_for, trace_scores
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.session import Session
from widthwise.core.strategy.part import Part
from widthwise.core.trace.trace import Trace


@register("aggregator")
@dataclass(frozen=True)
class BestBy(Part):
    """Best-of-N selection (Cobbe et al., arXiv 2110.14168): the highest-scored trace that states an answer.

    ``score``: "mean_logprob", "self_certainty", "reward_model" (its last step's score; "reward_model:min" and so on for
    another reduction), or another source of ``trace_scores``, such as a number recorded with the traces ("reward"; a
    minus before it picks the lowest). Unscored traces are never picked; of equal scores, the first is.
    """

    score: str = "mean_logprob"

    def __post_init__(self) -> None:
        logprobs_for(self.score)  # raises for a score that cannot be read

    @property
    def logprobs(self) -> int | None:
        """How many of the most likely tokens the traces must record."""
        return logprobs_for(self.score)

    def check(self, conditions: Conditions) -> None:
        """Raises ``UsageError`` if the run's traces will not have the score."""
        check_score(self.score, conditions, self.brief())

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        candidates = [t for t in traces if session.answer(t) is not None]
        scores = await trace_scores(session, candidates, self.score)
        scored = [(s, t) for s, t in zip(scores, candidates, strict=True) if s is not None]
        if not scored:
            return Answer(None)
        best, trace = max(scored, key=lambda pair: pair[0])
        classes = tuple(
            AnswerClass(session.answer(t) or "", (t,), s) for s, t in sorted(scored, key=lambda pair: -pair[0])
        )
        return Answer(session.answer(trace), trace, classes, tied=sum(s == best for s, _ in scored) > 1)
