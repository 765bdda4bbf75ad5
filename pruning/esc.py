"""Early-stopping self-consistency."""

from __future__ import annotations

from dataclasses import dataclass

from widthwise.core.registry import register
from widthwise.pruning.stopping_rule import StoppingRule, VoteOrder, Votes, check_order


@register("pruner")
@dataclass(frozen=True)
class ESC(StoppingRule):
    """Ends a draw when ``window`` answers in a row agree (Li et al., arXiv 2401.10480, ICLR 2024).

    The paper's windows follow one another; with ``sliding`` the last ``window`` answers count, wherever they begin,
    which stops no later. A trace without an answer agrees with none. Only the unanimous window votes.
    """

    window: int = 5
    sliding: bool = False
    order: VoteOrder = "launch"

    def __post_init__(self) -> None:
        if self.window < 1:
            raise ValueError(f"window must be at least 1, not {self.window}")
        check_order(self.order)

    def decides(self, votes: Votes) -> str | None:
        answers = votes.labels[-self.window :]
        whole = len(answers) == self.window and (self.sliding or len(votes.labels) % self.window == 0)
        if not whole or None in answers or len(set(answers)) > 1:
            return None
        return f"decided: {self.window} answers in a row agree"

    def voters(self, votes: Votes) -> int:
        return self.window
