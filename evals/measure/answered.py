"""What strategies made of problems, and what that cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from widthwise.core.session.ledger import Ledger
from widthwise.core.session.prices import Prices, money, unknown
from widthwise.evals.store.outcome import Outcome, credit


@dataclass(frozen=True, slots=True)
class Answered:
    """What a strategy made of one problem: how right its answer was, from 0 to 1, and what that cost.

    ``cut`` says that a budget did not allow a single whole trace. ``money`` is None if a price is not known.
    ``stated`` says whether it had an answer at all.
    """

    problem: str
    right: float
    spent: Ledger
    cut: bool = False
    money: float | None = None
    stated: bool = True

    @classmethod
    def of(cls, outcome: Outcome, prices: Prices) -> Answered:
        spent = outcome.ledger
        right, stated = credit(outcome.correct), outcome.answer is not None
        return cls(outcome.problem.id, right, spent, outcome.cut, money(spent, prices), stated)

    def money_within(self, tokens: float) -> float:
        """What it cost as far as it got for so many ``tokens``: of all its money, their share; NaN if unknown."""
        whole = self.spent.total
        return math.nan if self.money is None else self.money * min(1.0, tokens / whole) if whole else self.money


def per_sample(outcome: Outcome, prices: Prices) -> tuple[float, float, float]:
    """What each sample of a problem cost on average, the first one besides, and each generated token; NaN if unknown.

    The first sample's prompt is charged as far as the run has computed it, the others' as the run has found them in the
    cache on average: so all samples together cost what the run has paid. Prices may not be known, and what judges cost
    is not a sample's.
    """
    n, spent = _samples(outcome), outcome.ledger
    paid = money(spent, prices)
    if paid is None or not n or unknown_of_a_sample(outcome, prices):
        return math.nan, math.nan, math.nan
    [price] = [prices[name] for name in spent.models or [""]]
    if n == 1:
        return paid, 0.0, price.of_token
    cold = min(spent.prompt_computed, (spent.prompt_computed + spent.prompt_cached) / n)
    more = price.saved(cold - spent.prompt_computed / n)  # beyond an average sample
    return paid / n - more / (n - 1), more * n / (n - 1), price.of_token


def unknown_of_a_sample(outcome: Outcome, prices: Prices) -> str:
    """Why it is not known what each sample of a problem cost; empty if it is, and without samples."""
    spent = outcome.ledger
    if why := unknown(spent, prices):
        return why
    if spent.judging:
        return "judges worked on the problems, and what they cost is not any sample's"
    if len(spent.models) > 1:
        return "several models worked on a problem"
    return "the file does not say what its samples cost" if _samples(outcome) and not spent.total else ""


def _samples(outcome: Outcome) -> int:
    return sum(leaf.finish != "joined" for leaf in outcome.leaves)
