"""Keep the best nodes of a frontier."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from widthwise.core.registry import register
from widthwise.core.strategy.frontier import Frontier, Selection, Selector, ranked, shown, spread

if TYPE_CHECKING:
    from widthwise.core.session.session import Session


@register("selector")
@dataclass(frozen=True)
class TopK(Selector):
    """Keeps the ``k`` nodes with the highest scores, or as many as give each of them ``children`` children.

    Give one of the two. Equal scores are taken in the order of the nodes; unscored nodes rank last.
    """

    k: int | None = None
    children: int | None = None

    def __post_init__(self) -> None:
        if (self.k is None) == (self.children is None):
            raise ValueError("give either k (how many nodes to keep) or children (of each kept node)")
        if (self.k or self.children or 0) < 1:
            raise ValueError("k and children must be at least 1")

    async def select(self, session: Session, frontier: Frontier) -> Selection:
        k = self.k or math.ceil(frontier.width / (self.children or 1))
        order = ranked(frontier.nodes)
        kept, last = set(order[:k]), order[:k][-1:]
        reasons = {
            node: f"{shown(node.score)} is not among the best {k} (the last of them: {shown(last[0].score)})"
            for node in order[k:]
        }
        return spread([node for node in frontier.nodes if node in kept], frontier.width, reasons)
