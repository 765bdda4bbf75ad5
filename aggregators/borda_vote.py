"""A vote that counts by rank."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from widthwise.core.answer import Answer, TieBreak, elect
from widthwise.core.registry import register
from widthwise.core.scores.trace_score import check_score, logprobs_for, trace_scores
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.session import Session
from widthwise.core.strategy.part import Part
from widthwise.core.trace.trace import Trace

_UNFINISHED = ("pruned", "aborted", "error")


@register("aggregator")
@dataclass(frozen=True)
class BordaVote(Part):
    """Traces are ranked by a score, and rank r of N gives ``(N - r + 1) ** p`` votes (Kang et al., arXiv 2502.18581).

    ``by`` names the score (see ``trace_scores``); the paper's own, "self_certainty", needs traces sampled with the
    log-probabilities of the most likely tokens (``logprobs=20``). ``p`` 0 is the majority vote; a large ``p`` leaves
    the choice to the best trace; the paper uses 0.3 for 8 traces and 1.2 for 64. Every finished and scored trace has a
    rank, but traces without an answer cast no votes. Equal scores are ranked in order of the traces. Weights are given
    as shares of the highest rank's.
    """

    by: str = "self_certainty"
    p: float = 0.5
    tie: TieBreak = "first"

    def __post_init__(self) -> None:
        logprobs_for(self.by)  # raises for a score that cannot be read
        if not 0 <= self.p < math.inf:
            raise ValueError(f"p must be at least 0 and finite, not {self.p}")

    @property
    def logprobs(self) -> int | None:
        """How many of the most likely tokens the traces must record."""
        return logprobs_for(self.by)

    def check(self, conditions: Conditions) -> None:
        """Raises ``UsageError`` if the run's traces will not have the score."""
        check_score(self.by, conditions, self.brief())

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        finished = [t for t in traces if t.finish not in _UNFINISHED]
        scores = await trace_scores(session, finished, self.by)
        scored = [(s, t) for s, t in zip(scores, finished, strict=True) if s is not None]
        ranked = [t for _, t in sorted(scored, key=lambda pair: -pair[0])]
        votes = {t: ((len(ranked) - place) / len(ranked)) ** self.p for place, t in enumerate(ranked)}
        classes = await session.classes([t for t in finished if t in votes])
        weighed = [replace(c, weight=sum(session.weight(t) * votes[t] for t in c.traces)) for c in classes]
        return elect(weighed, self.tie, session.seed("tie"), session.thought_length)
