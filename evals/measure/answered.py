"""What strategies made of problems, and what that cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from widthwise.core.session.ledger import Ledger
from widthwise.core.session.prices import Prices, money
from widthwise.evals.store.outcome import Outcome, credit


@dataclass(frozen=True, slots=True)
class Answered:
    """What a strategy made of one problem: how right its answer was, from 0 to 1, and what that cost.

    ``cut`` says that a budget did not allow a single whole trace. ``money`` is None if a price is not known.
    """

    problem: str
    right: float
    spent: Ledger
    cut: bool = False
    money: float | None = None

    @classmethod
    def of(cls, outcome: Outcome, prices: Prices) -> Answered:
        spent = outcome.ledger
        return cls(outcome.problem.id, credit(outcome.correct), spent, outcome.cut, money(spent, prices))


def per_sample(outcome: Outcome, prices: Prices) -> float:
    """What one sample of a problem cost on average; NaN if prices are not known, or judges cost something too."""
    samples = [leaf for leaf in outcome.leaves if leaf.finish != "joined"]
    paid = money(outcome.ledger, prices) if samples and not outcome.ledger.judging else None
    return math.nan if paid is None else paid / len(samples)
