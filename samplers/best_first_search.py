"""Best-first search over steps."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from widthwise.core.registry import register
from widthwise.core.strategy.tree_policy import TreePolicy
from widthwise.pruning.best_first import BestFirst
from widthwise.samplers.policy_search import PolicySearch


@register("sampler")
@dataclass(frozen=True)
class BestFirstSearch(PolicySearch):
    """Draws ``children`` next steps of the best open step anywhere in the tree, until there are ``n`` solutions.

    Nothing is given up: a step that was passed over is used when all others are worse. With ``parallel`` above
    ``children``, the next best steps are expanded together with the best.
    """

    _: KW_ONLY
    children: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        self.policy  # noqa: B018  (checks its arguments)

    @property
    def policy(self) -> TreePolicy:
        return BestFirst(self.children)
