"""How sure the samples of a problem make its answer."""

from __future__ import annotations

import math

import numpy as np

from widthwise.core.posterior import beta
from widthwise.core.scores.measured import MEASURES
from widthwise.core.scores.trace_score import LOGPROBS, SELF_CERTAINTY
from widthwise.core.strategy.strategy import Aggregator, Strategy
from widthwise.evals.allocation.prospect import Prospect
from widthwise.evals.measure.estimators import NO_VOTE

_SURE = 0.98
"""A score is taken for no more than this, and no less than the opposite: no verifier is always right."""


def score_of(aggregator: Aggregator | None) -> str:
    """The score by which an aggregator chooses or weighs; empty for none."""
    return str(getattr(aggregator, "score", None) or getattr(aggregator, "by", None) or "")


def chance_score(strategy: Strategy) -> str:
    """The score by which the strategy's aggregator chooses, if it says how likely a trace is right; else empty.

    Those of reward models and recorded numbers do; what is read from log-probabilities ranks traces only.
    """
    source = score_of(strategy.aggregator)
    name = source.partition("(")[0]
    return "" if name in (*LOGPROBS, *MEASURES, SELF_CERTAINTY) or source.startswith("-") else source


def confidence(prospect: Prospect) -> float:
    """The probability that the answer with the most weight is right (with scores) or the most common one (without).

    Without scores it is that of Adaptive-Consistency (Aggarwal et al., arXiv 2305.11860): with ``u`` and ``v`` votes
    for the first and the second answer, the chance that the first one is the more common, ``p > 1/2`` under
    ``Beta(u + 1, v + 1)``. With scores, each is taken as the independent chance that its sample is right, and at most
    one answer is: the odds of an answer against none are the product of ``s / (1 - s)`` over its samples.
    """
    weights = prospect.weights()
    if not weights:
        return 0.0
    if not prospect.has_scores:
        first, second, *_ = *sorted(weights.values(), reverse=True), 0.0
        return beta(int(first), int(second))
    odds = _log_odds(prospect)
    largest = max(0.0, *odds.values())
    total = math.exp(-largest) + sum(math.exp(each - largest) for each in odds.values())
    leader = max(weights, key=lambda vote: weights[vote])
    return math.exp(odds[leader] - largest) / total


def _log_odds(prospect: Prospect) -> dict[int, float]:
    """The log-odds of each class of answers against the hypothesis that all are wrong."""
    found: dict[int, float] = {}
    sure = np.clip(prospect.scores, 1 - _SURE, _SURE)
    for vote, s in zip(prospect.votes.tolist(), sure.tolist(), strict=True):
        if vote != NO_VOTE:
            found[vote] = found.get(vote, 0.0) + (0.0 if math.isnan(s) else math.log(s / (1 - s)))
    return found
