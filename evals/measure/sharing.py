"""What strategies share in a sweep: which of them are read from samples of a larger budget, and from which run's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from widthwise.aggregators.best_by import BestBy
from widthwise.aggregators.majority_vote import MajorityVote
from widthwise.aggregators.weighted_vote import WeightedVote
from widthwise.core.arguments import names_of
from widthwise.core.scores.combination import combination
from widthwise.core.scores.trace_score import REWARD_MODEL, SELF_CERTAINTY, logprobs_for
from widthwise.core.strategy.strategy import Aggregator, Strategy
from widthwise.evals.measure.axes import MEASURED, Axis
from widthwise.evals.measure.buying import weights_of
from widthwise.evals.measure.curves import CurveMethod, method
from widthwise.evals.measure.estimators import weighted_vote_at_k
from widthwise.evals.measure.sample_pool import SamplePool
from widthwise.evals.measure.sample_scores import is_relative
from widthwise.evals.measure.subsets import Estimate
from widthwise.evals.measure.top_votes import top_vote_at_k
from widthwise.samplers.best_of_n import BestOfN
from widthwise.samplers.single import Single


def why_not_shared(strategy: Strategy, axis: Axis) -> str:
    """Why samples of a large budget do not answer for smaller ones; empty if they do."""
    if axis not in ("samples", "tokens", "flops"):
        return f"{'a limit on ' if axis in MEASURED else ''}{axis} changes the traces themselves"
    if not isinstance(strategy.sampler, BestOfN | Single):
        return "its traces are not independent"
    if axis != "samples" and strategy.sampler.waits:
        return "what its traces take back is charged but not part of them"
    if axis == "flops" and strategy.sampler.thinking is not None:
        return "what is inserted into its traces is charged but not part of them"
    if strategy.pruners:
        return "its pruners stop traces online"
    if strategy.budget is not None:
        return "it has a budget of its own"
    if choice(strategy) is None:
        return "its aggregator needs more than stored answers and scores"
    return ""


def choice(strategy: Strategy) -> CurveMethod | None:
    """How the strategy's aggregator chooses among stored samples; None if a store cannot tell."""
    match strategy.aggregator:
        case BestBy(score=source) | WeightedVote(by=source) if is_relative(source):
            return None
        case _ if isinstance(strategy.sampler, Single):
            # With one sample there is nothing to choose: the mean over samples, whatever k.
            return CurveMethod("single", lambda pool, seed: _constant(float(pool.values.mean()), len(pool)))
        case None | MajorityVote(tie="first" | "random"):
            return method("maj")
        case BestBy(score=score):
            return method(f"best:{score}")
        case WeightedVote(by=score, tie="first" | "random") as vote:
            return CurveMethod(f"weighted:{score}", lambda pool, seed: _weighted(vote, pool, seed), score)
    return None


def _constant(value: float, n: int) -> Estimate:
    return Estimate(np.full(n, value), np.zeros(n))


def _weighted(vote: WeightedVote, pool: SamplePool, seed: int) -> Estimate:
    if vote.top < 1:  # who votes depends on the subset, what a vote weighs does not
        weights = weights_of(replace(vote, top=1.0), pool)
        return top_vote_at_k(pool.votes, pool.values, pool.scores[vote.by], weights, vote.top, seed=seed)
    return weighted_vote_at_k(pool.votes, pool.values, weights_of(vote, pool), seed=seed)


def pools_of(strategies: Sequence[Strategy], limits: Sequence[float], axis: Axis) -> dict[Strategy, Strategy]:
    """The run that each shared strategy is read from.

    Strategies whose samples are drawn alike share one run. It records what they read from the samples: if some need the
    reward model's scores and others the most likely tokens, each of these kinds has its own run.
    """
    n = int(limits[-1]) if axis == "samples" else None
    shared = {s: (_drawn(s, n), _recording(s)) for s in strategies if not why_not_shared(s, axis)}
    richest: dict[BestOfN, Aggregator] = {}
    for drawn, aggregator in shared.values():
        if aggregator != _PLAIN:
            richest.setdefault(drawn, aggregator)
    return {
        strategy: Strategy(drawn, aggregator=richest.get(drawn, _PLAIN) if aggregator == _PLAIN else aggregator)
        for strategy, (drawn, aggregator) in shared.items()
    }


_PLAIN = MajorityVote()


def _recording(strategy: Strategy) -> Aggregator:
    """What a run must end with so that its file holds everything the strategy reads from the samples."""
    score = choice(strategy)
    if score is not None and score.score and combination(score.score) is not None:
        return BestBy(score.score)
    name, _, reduction = ((score and score.score) or "").partition(":")
    if name == REWARD_MODEL:  # all reductions but one are read from the same scores
        return BestBy(f"{name}:model" if reduction == "model" else name)
    return BestBy(SELF_CERTAINTY) if logprobs_for(name) else _PLAIN


def _drawn(strategy: Strategy, n: int | None) -> BestOfN:
    """The samples that the strategy is read from: ``n`` independent ones (its own number by default)."""
    sampler = strategy.sampler
    assert isinstance(sampler, BestOfN | Single)
    own = sampler.n if isinstance(sampler, BestOfN) else BestOfN().n
    return BestOfN(n or own, **{name: getattr(sampler, name) for name in names_of(Single)})
