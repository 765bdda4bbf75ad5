"""How one problem stands while a pool of tokens is shared out: what its samples so far say without its reference."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from widthwise.core.arrays import DoubleArray, IntArray
from widthwise.core.brief import Brief
from widthwise.evals.measure.estimators import NO_VOTE

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Prospect(Brief):
    """A problem's whole samples in order of launch, and what it has cost.

    ``votes``, ``int64 [n]``, are classes of equal answers (-1: no answer), ``scores``, ``float64 [n]``, what the
    strategy's aggregator reads (NaN: none), ``spent`` the tokens of the problem, and ``lost`` those that bought no
    sample: of samples that its share cut and that may be drawn again, and of another strategy with which it went on. A
    ``closed`` problem gets no more: a trace of it was cut by its share, another strategy answered, or a request failed
    for good. If its last share bought no sample, ``short`` is this share; a probe is then drawn again
    with more. ``pass_rate`` is how many samples of its stored pool are right, for the oracle of a study; NaN in a run.
    """

    problem: str
    votes: IntArray
    scores: DoubleArray
    spent: float
    closed: bool = False
    pass_rate: float = math.nan
    lost: float = 0.0
    short: int = 0

    @property
    def charged(self) -> float:
        """What it has taken from the pool."""
        return self.spent + self.lost

    def followed(self, after: Prospect, spent: float, tokens: int, *, failed: bool = False) -> Prospect:
        """``after``, which a share of ``tokens`` made of the problem; its samples, cut ones too, cost ``spent``."""
        if failed:
            return replace(after, spent=spent, lost=self.lost, closed=True, short=0)
        if len(after) > len(self):
            return replace(after, spent=spent, lost=self.lost)
        return replace(after, spent=self.spent, lost=self.lost + spent - self.spent, closed=True, short=tokens)

    def __len__(self) -> int:
        return len(self.votes)

    @property
    def has_scores(self) -> bool:
        """Whether the samples that state answers have scores which can be chances; others are not read, and logged."""
        known = self.scores[self.votes != NO_VOTE]
        known = known[np.isfinite(known)]
        if known.size and not ((known >= 0) & (known <= 1)).all():
            _say_no_chances()
            return False
        return bool(known.size)

    def weights(self) -> dict[int, float]:
        """The weight of each class of answers: the sum of its scores if there are any, else its votes."""
        each = np.nan_to_num(self.scores) if self.has_scores else np.ones(len(self))
        found: dict[int, float] = {}
        for vote, weight in zip(self.votes.tolist(), each.tolist(), strict=True):
            if vote != NO_VOTE:
                found[vote] = found.get(vote, 0.0) + weight
        return found


def usual_cost(prospects: Sequence[Prospect]) -> float:
    """What a sample of any of these problems has cost on average; at least a token."""
    samples = sum(map(len, prospects))
    return max(sum(s.charged for s in prospects) / samples, 1.0) if samples else 1.0


def costs(prospects: Sequence[Prospect]) -> list[float]:
    """What a further sample of each problem is expected to cost: its mean, with one sample of the usual cost added."""
    usual = usual_cost(prospects)
    return [(s.spent + usual) / (len(s) + 1) for s in prospects]


@cache
def _say_no_chances() -> None:
    _log.warning("scores below 0 or above 1 are no chances of being right: the allocation goes by votes alone")
