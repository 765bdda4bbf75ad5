"""Adaptive-Consistency: stop when the leading answer is very probably the most common one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from widthwise.core.posterior import beta, dirichlet
from widthwise.core.registry import register
from widthwise.pruning.stopping_rule import StoppingRule, VoteOrder, Votes, check_order

_ANSWERS = 5
"""How many of the most frequent answers the Dirichlet posterior covers, as in the authors' release."""


@register("pruner")
@dataclass(frozen=True)
class AdaptiveConsistency(StoppingRule):
    """Ends a draw when the leader is the model's most common answer with probability ``threshold``.

    Aggarwal et al., arXiv 2305.11860. The posterior is over a uniform ``prior``: "beta" considers the two most frequent
    answers, "dirichlet" the five most frequent. It is checked after every answer, so the threshold does not bound the
    error (``anytime`` has such a bound). At 0.95 it takes at least four equal answers.
    """

    threshold: float = 0.95
    prior: Literal["beta", "dirichlet"] = "beta"
    order: VoteOrder = "launch"

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold must be between 0 and 1, not {self.threshold}")
        if self.prior not in ("beta", "dirichlet"):
            raise ValueError(f"prior must be 'beta' or 'dirichlet', not {self.prior!r}")
        check_order(self.order)

    def decides(self, votes: Votes) -> str | None:
        if not votes.lead:
            return None
        first, second, *others = votes.counts
        if self.prior == "beta" or not any(others):
            probability = beta(first, second)
        else:
            probability = dirichlet(tuple(n for n in votes.counts if n)[:_ANSWERS])
        if probability < self.threshold:
            return None
        return f"decided: the leading answer is the mode with probability {probability:.3f}"
