"""Votes that count by a score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from widthwise.core.answer import Answer, Tie, elect
from widthwise.core.errors import UsageError
from widthwise.core.part import Part
from widthwise.core.session import Session
from widthwise.core.trace import Trace
from widthwise.core.trace_score import trace_scores

_MAPS = ("identity", "exp", "inverse")


@dataclass(frozen=True)
class WeightedVote(Part):
    """The answer class with the largest sum of weights (Li et al., arXiv 2206.02336).

    ``by`` names the score (see ``trace_scores``). ``weight`` turns it into a vote: "identity", "exp" of it divided
    by ``temperature`` (for log-probabilities and logits), or "inverse" (one over it, for perplexities). Unscored
    traces do not vote; a negative weight is an error, for it would count against its own answer.
    """

    by: str = "mean_logprob"
    weight: str = "exp"
    temperature: float = 1.0
    tie: Tie = "first"

    def __post_init__(self) -> None:
        if self.weight not in _MAPS:
            raise ValueError(f"weight must be one of {', '.join(_MAPS)}, not {self.weight!r}")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be above 0, not {self.temperature}")

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        candidates = [t for t in traces if session.answer(t) is not None]
        scores = dict(zip(candidates, await trace_scores(session, candidates, self.by), strict=True))
        known = [s for s in scores.values() if s is not None]
        # Only ratios of weights matter: taking the largest out of the exponent keeps it from overflowing.
        weights = {t: self._weight(s, max(known)) for t, s in scores.items() if s is not None}
        classes = await session.classes([t for t in candidates if t in weights])
        return elect(
            [replace(c, weight=sum(weights[t] for t in c.traces)) for c in classes], self.tie, session.seed("tie")
        )

    def _weight(self, score: float, largest: float) -> float:
        if self.weight == "exp":
            return math.exp((score - largest) / self.temperature)
        weight = score if self.weight == "identity" else 1 / score if score else math.inf
        if not 0 <= weight < math.inf:
            raise UsageError(
                f"weighted_vote: the score {score:g} of {self.by!r} gives no weight; use weight='exp' for scores "
                "that can be negative"
            )
        return weight
