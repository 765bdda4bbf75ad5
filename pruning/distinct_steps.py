"""Keep one of several nodes that say the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from widthwise.core.registry import register
from widthwise.core.strategy.frontier import Frontier, Selection, Selector, spread
from widthwise.core.strategy.step_tree import Node
from widthwise.core.trace.trace import name

if TYPE_CHECKING:
    from widthwise.core.session.session import Session


@register("selector")
@dataclass(frozen=True)
class DistinctSteps(Selector):
    """Keeps the first of several nodes with the same text since the prompt; their width goes to all kept nodes.

    No selector touches finished traces: equal ones vote as often as they were found.
    """

    async def select(self, session: Session, frontier: Frontier) -> Selection:
        first: dict[str, Node] = {}
        reasons = {}
        for node in frontier.nodes:
            twin = first.setdefault(node.trace.completion.strip(), node)
            if twin is not node:
                reasons[node] = f"the same as {name(twin.trace.id)}"
        return spread(list(first.values()), frontier.width, reasons)
