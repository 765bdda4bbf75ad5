"""Reward-balanced search."""

from __future__ import annotations

from dataclasses import dataclass

from widthwise.core.registry import register
from widthwise.core.strategy.frontier import Selector
from widthwise.pruning.softmax_balanced import SoftmaxBalanced, check_balance
from widthwise.samplers.tree_search import TreeSampler


@register("sampler")
@dataclass(frozen=True)
class REBASE(TreeSampler):
    """Divides the width in proportion to the softmax of the scores (Wu et al., arXiv 2408.00724).

    ``balance`` is the softmax's temperature, suitable for scores in [0, 1]. Each unit of ``n`` ends as a solution that
    can vote; ``refill`` would contradict the paper.
    """

    balance: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_balance(self.balance)

    @property
    def selector(self) -> Selector:
        return SoftmaxBalanced(self.balance)
