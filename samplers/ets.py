"""Efficient tree search: REBASE on a frontier that is pruned to save cache."""

from __future__ import annotations

from dataclasses import dataclass

from widthwise.core.registry import register
from widthwise.core.strategy.frontier import Selector
from widthwise.pruning.kv_cost import KvCost
from widthwise.pruning.softmax_balanced import SoftmaxBalanced, check_balance
from widthwise.samplers.tree_search import TreeSampler


@register("sampler")
@dataclass(frozen=True)
class ETS(TreeSampler):
    """``KvCost`` decides which nodes stay, then REBASE divides the whole width among them (arXiv 2502.13575).

    ``cost`` and ``coverage`` are the paper's lambda_b and lambda_d, tuned there for one reward model: 1.0 with 1.5, 1.4
    and 1.45 at widths 16, 64 and 256. ``coverage`` needs an embedding model unless it is 0. ``greedy`` replaces the
    integer program with a greedy search.
    """

    balance: float = 0.2
    cost: float = 1.0
    coverage: float = 1.5
    distance: float = 0.05
    greedy: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_balance(self.balance)
        self.selector  # noqa: B018  (checks the other arguments)

    @property
    def selector(self) -> Selector:
        prune = KvCost(self.cost, self.coverage, self.balance, self.distance, self.greedy)
        selector: Selector = prune | SoftmaxBalanced(self.balance)
        return selector
