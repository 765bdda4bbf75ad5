"""Votes weighted by a score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from widthwise.core.answer import Answer, TieBreak, elect
from widthwise.core.errors import UsageError
from widthwise.core.registry import register
from widthwise.core.scores.trace_score import check_score, logprobs_for, trace_scores
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.session import Session
from widthwise.core.strategy.part import Part
from widthwise.core.trace.trace import Trace

_MAPS = ("identity", "exp", "inverse", "equal")


@register("aggregator")
@dataclass(frozen=True)
class WeightedVote(Part):
    """The answer class with the largest sum of weights (Li et al., arXiv 2206.02336).

    ``by`` names the score, or several ("reward_model * mean_confidence"; see ``trace_scores``). ``weight`` turns it
    into a vote: "identity", "exp" of the score divided by ``temperature`` (for log-probabilities and logits), "inverse"
    (one over it, for perplexities) or "equal" (one vote each). If a pruner weights votes, its weight is a factor.
    ``top`` lets only that share of the traces vote, those with the highest scores: DeepConf (Fu et al., arXiv
    2508.15260) is ``by="lowest_group_confidence", weight="identity", top=0.1`` (or 0.9), or another of its confidences,
    with its own window if traces are short: ``by="lowest_group_confidence(window=64)"``. Unscored traces do not vote; a
    negative weight is an error, because it would count against its own answer.
    """

    by: str = "mean_logprob"
    weight: str = "exp"
    temperature: float = 1.0
    top: float = 1.0
    tie: TieBreak = "first"

    def __post_init__(self) -> None:
        logprobs_for(self.by)  # raises for a score that cannot be read
        if self.weight not in _MAPS:
            raise ValueError(f"weight must be one of {', '.join(_MAPS)}, not {self.weight!r}")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be above 0, not {self.temperature}")
        if not 0 < self.top <= 1:
            raise ValueError(f"top must be a share above 0 and up to 1, not {self.top}")

    @property
    def logprobs(self) -> int | None:
        """How many of the most likely tokens the traces must record."""
        return logprobs_for(self.by)

    def check(self, conditions: Conditions) -> None:
        """Raises ``UsageError`` if the run's traces will not have the score."""
        check_score(self.by, conditions, self.brief())

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        candidates = [t for t in traces if session.answer(t) is not None]
        scores = await trace_scores(session, candidates, self.by)
        known = {t: s for t, s in zip(candidates, scores, strict=True) if s is not None}
        if not known:
            return Answer(None)
        least = float(np.quantile(list(known.values()), 1 - self.top))
        # Only ratios of weights matter: subtracting the largest exponent prevents overflow.
        largest = max(known.values())
        weights = {t: session.weight(t) * self.weighed(s, largest) for t, s in known.items() if s >= least}
        classes = await session.classes([t for t in candidates if t in weights])
        weighed = [replace(c, weight=sum(weights[t] for t in c.traces)) for c in classes]
        return elect(weighed, self.tie, session.seed("tie"), session.thought_length)

    def weighed(self, score: float, largest: float) -> float:
        """The vote of a trace with this score, ``largest`` being the largest; ``UsageError`` for what is no weight."""
        if self.weight == "equal":
            return 1.0
        if self.weight == "exp":
            return math.exp((score - largest) / self.temperature)
        weight = score if self.weight == "identity" else 1 / score if score else math.inf
        if not 0 <= weight < math.inf:
            raise UsageError(
                f"weighted_vote: the score {score:g} of {self.by!r} gives no weight; use weight='exp' for scores "
                "that can be negative"
            )
        return weight
