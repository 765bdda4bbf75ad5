"""The most promising node of a tree first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from widthwise.core.strategy.part import Part


@dataclass(frozen=True)
class BestFirst(Part):
    """Makes the children of the highest-scored node among all that may have more, up to ``children`` each.

    Best-first search; tree of thoughts calls its breadth-first twin BFS and limits it by round (Yao et al., arXiv
    2305.10601). Of equal scores, the node made first is chosen; nodes without a score come last.
    """

    children: int = 4

    def __post_init__(self) -> None:
        if self.children < 1:
            raise ValueError(f"children must be at least 1, not {self.children}")

    @property
    def branching(self) -> float:
        return self.children

    def choose(self, root: Any, seed: int, number: int) -> Any:
        node, onward = root, root
        while onward is not None:
            node, onward = onward, next((child for child in onward.children if child.best == root.best), None)
        return node
