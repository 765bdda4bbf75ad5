"""What a budget of tokens or FLOPs buys of stored samples, and what strategies answer with those.

The rule is that of a run (``core/session/launches.py``): samples are bought whole, in order of launch. So a strategy
evaluated on stored samples answers as it would have in a run of its own with the same samples.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from widthwise.aggregators.best_by import BestBy
from widthwise.aggregators.majority_vote import MajorityVote
from widthwise.aggregators.weighted_vote import WeightedVote
from widthwise.core.arrays import DoubleArray
from widthwise.core.session.derived_seed import derived_seed
from widthwise.core.session.launches import Bought, bought
from widthwise.evals.measure.axes import Axis
from widthwise.evals.measure.curves import CurveMethod
from widthwise.evals.measure.estimators import NO_VOTE
from widthwise.evals.measure.sample_pool import SamplePool

Pick = Callable[[SamplePool, int], int | None]
"""The position of the chosen sample in a pool, in a run with this seed; None: no answer."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """What a budget bought of one problem's samples, and whether the answer chosen among them is right.

    ``begun`` samples cost ``spent`` in all, and ``money`` (NaN: not known); ``whole`` of them reached their end and
    could vote.
    """

    value: float
    begun: int
    whole: int
    spent: float
    money: float = math.nan

    @property
    def cut(self) -> bool:
        """Whether the first sample alone is longer than the budget."""
        return self.begun > 0 and not self.whole


def purchase(pool: SamplePool, limit: float, n: int, pick: Pick, seed: int, axis: Axis = "tokens") -> Purchase:
    """What ``limit`` tokens or FLOPs buy of the first ``n`` samples of ``pool``."""
    found = _bought(pool.first(n), limit, axis)
    whole = pool.first(found.whole)
    chosen = pick(whole, seed)
    value = 0.0 if chosen is None else float(whole.values[chosen])
    return Purchase(value, found.begun, found.whole, found.spent, _money(pool, found, axis))


def purchased(pool: SamplePool, limit: float, method: CurveMethod, axis: Axis = "tokens") -> Purchase:
    """What ``limit`` buys of ``pool``, and what ``method`` makes of it (expected, if it draws among equals)."""
    found = _bought(pool, limit, axis)
    seed = derived_seed(0, pool.problem, ("bought",))
    value = float(method.estimate(pool.first(found.whole), seed).value[-1]) if found.whole else 0.0
    return Purchase(value, found.begun, found.whole, found.spent, _money(pool, found, axis))


def _bought(pool: SamplePool, limit: float, axis: Axis) -> Bought:
    """The samples that ``limit`` buys, after their prompt if that costs something."""
    costs, base = pool.costs(axis)
    found = bought(costs.tolist(), limit - base)
    return replace(found, spent=min(found.spent + base, limit))


def _money(pool: SamplePool, found: Bought, axis: Axis) -> float:
    """What these samples cost, with the tokens that were bought of them; NaN if unknown."""
    if not found.begun:
        return 0.0
    return float(pool.expected_money(np.array(found.begun), _tokens(pool, found, axis)))


def _tokens(pool: SamplePool, found: Bought, axis: Axis) -> float:
    """How many tokens were bought: those of whole samples, and what was left for the one that was cut."""
    whole = float(pool.tokens[: found.whole].sum())
    if found.begun == found.whole:
        return whole
    costs, base = pool.costs(axis)
    return whole + pool.afforded(found.spent - base - float(costs[: found.whole].sum()), axis)


def pick_of(aggregator: object) -> Pick | None:
    """How ``aggregator`` (None: the usual vote) chooses; None if stored answers and scores do not determine it."""
    match aggregator:
        case None:
            return lambda pool, seed: _elected(pool, np.ones(len(pool)), "first", seed)
        case MajorityVote(tie="first" | "random" as tie):
            return lambda pool, seed: _elected(pool, np.ones(len(pool)), tie, seed)
        case BestBy(score=score):
            return lambda pool, seed: _best(pool, score)
        case WeightedVote(tie="first" | "random" as tie) as vote:
            return lambda pool, seed: _elected(pool, weights_of(vote, pool), tie, seed)
    return None


def _elected(pool: SamplePool, weights: DoubleArray, tie: str, seed: int) -> int | None:
    """The first sample of the heaviest class, as ``elect`` finds it."""
    voters = [i for i in range(len(pool)) if pool.votes[i] != NO_VOTE and not np.isnan(weights[i])]
    classes: dict[int, list[int]] = {}
    for i in voters:
        classes.setdefault(int(pool.votes[i]), []).append(i)
    if not classes:
        return None
    ranked = sorted(classes.values(), key=lambda members: -sum(weights[i] for i in members))
    heaviest = sum(weights[i] for i in ranked[0])
    best = [c for c in ranked if math.isclose(sum(weights[i] for i in c), heaviest, rel_tol=1e-9, abs_tol=1e-12)]
    return (random.Random(derived_seed(seed, pool.problem, ("tie",))).choice(best) if tie == "random" else best[0])[0]


def _best(pool: SamplePool, score: str) -> int | None:
    known = [i for i in range(len(pool)) if pool.votes[i] != NO_VOTE and not np.isnan(pool.scores[score][i])]
    return max(known, key=lambda i: float(pool.scores[score][i]), default=None)


def weights_of(vote: WeightedVote, pool: SamplePool) -> DoubleArray:
    """Each sample's vote, ``float64 [n]``; NaN where it does not vote. ``UsageError`` for a score that is no weight."""
    score = np.where(pool.votes == NO_VOTE, np.nan, pool.scores[vote.by])
    if np.isnan(score).all():
        return score
    score = np.where(score >= np.nanquantile(score, 1 - vote.top), score, np.nan)
    largest = float(np.nanmax(score))
    return np.array([np.nan if np.isnan(each) else vote.weighed(float(each), largest) for each in score])
