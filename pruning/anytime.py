"""Stop at any time with a bounded risk that the vote is for the wrong answer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from widthwise.core.registry import register
from widthwise.pruning.stopping_rule import StoppingRule, VoteOrder, Votes, check_order


@register("pruner")
@dataclass(frozen=True)
class Anytime(StoppingRule):
    """Ends a draw when the vote can no longer change, or only with a probability of at most ``epsilon``.

    PPR-1v1 (Jain et al., "PAC Mode Estimation using PPR Martingale Confidence Sequences", AISTATS 2022): the leader is
    compared with every rival by a ratio of posterior and prior that is a martingale. However often one checks, the
    probability of ever stopping with an answer that is not the model's most common one is at most ``epsilon``; this
    does not say that the answer is right. ``answers`` declares how many different answers there can be (None: those
    seen, and one more). The guarantee is for independent samples: ``order="completion"`` has none.
    """

    epsilon: float = 0.05
    answers: int | None = None
    order: VoteOrder = "launch"

    def __post_init__(self) -> None:
        if not 0 < self.epsilon < 1:
            raise ValueError(f"epsilon must be between 0 and 1, not {self.epsilon}")
        if self.answers is not None and self.answers < 2:
            raise ValueError(f"answers must be at least 2, not {self.answers}")
        check_order(self.order)

    def decides(self, votes: Votes) -> str | None:
        if votes.lead > votes.outstanding:
            return f"decided: {votes.lead} votes ahead, {votes.outstanding} to come"
        if not votes.lead:
            return None
        rivals = max(len(votes.counts) - 1, (self.answers or 2) - 1)
        first, second = votes.counts[:2]
        if density_at_half(first, second) > self.epsilon / rivals:
            return None
        return f"decided: {first} votes to {second}, a lead that is wrong at most once in {1 / self.epsilon:.0f} cases"


def density_at_half(first: int, second: int) -> float:
    """The density of Beta(first + 1, second + 1) at 1/2."""
    return float((first + second + 1) * math.comb(first + second, first) / 2 ** (first + second))
