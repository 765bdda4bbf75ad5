"""Keep the best nodes of every subtree, so that no branch of the tree dies out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from widthwise.core.registry import register
from widthwise.core.strategy.frontier import Frontier, Selection, Selector, ranked, shown, spread
from widthwise.core.strategy.step_tree import Node

if TYPE_CHECKING:
    from widthwise.core.session.session import Session


@register("selector")
@dataclass(frozen=True)
class PerSubtree(Selector):
    """Keeps the ``k`` best nodes below each node of depth ``depth``: as diverse as DVTS, but with one frontier."""

    k: int = 1
    depth: int = 1

    def __post_init__(self) -> None:
        if self.k < 1 or self.depth < 0:
            raise ValueError("k must be at least 1 and depth at least 0")

    async def select(self, session: Session, frontier: Frontier) -> Selection:
        subtrees: dict[Node, list[Node]] = {}
        for node in frontier.nodes:
            subtrees.setdefault(self._top(node), []).append(node)
        kept, reasons = set(), {}
        for nodes in map(ranked, subtrees.values()):
            kept.update(nodes[: self.k])
            for node in nodes[self.k :]:
                reasons[node] = f"{shown(node.score)} is not among the best {self.k} of its subtree"
        return spread([node for node in frontier.nodes if node in kept], frontier.width, reasons)

    def _top(self, node: Node) -> Node:
        """The ancestor whose subtree ``node`` belongs to; ``node`` itself if it is no deeper."""
        return next(above for above in chain([node], node.ancestors) if above.depth <= self.depth)
