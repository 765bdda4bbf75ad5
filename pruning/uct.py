"""Upper confidence bounds for trees, without and with prior probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from widthwise.core.strategy.part import Part


@dataclass(frozen=True)
class UpperBound(Part):
    """What rules share that descend to the child with the highest bound, to a node with fewer than ``children``."""

    children: int
    c: float

    def __post_init__(self) -> None:
        if self.children < 1 or self.c < 0 or self.c == math.inf:
            raise ValueError("children must be at least 1, and c not below 0 and finite")

    @property
    def branching(self) -> float:
        return self.children

    def choose(self, root: Any, seed: int, number: int) -> Any:
        return descend(root, self.children, self.bounds)

    def bounds(self, node: Any) -> list[float]:
        """The bound of each child of ``node``."""
        raise NotImplementedError


@dataclass(frozen=True)
class UCT(UpperBound):
    """Goes from the root to the child with the highest bound, until a node has fewer than ``children`` children.

    UCT (Kocsis and Szepesvári, "Bandit based Monte-Carlo Planning", 2006): ``Q / n + c * sqrt(ln(N) / n)``, with ``Q``
    the sum of the ``n`` scores at the child and below it, and ``N`` the number at its parent. Nodes that were asked for
    but not yet told count as visits with score 0 (virtual loss), so that choices made side by side differ. ``children``
    is the number of samples that treequest's StandardMCTS makes of a node, 2 by default, and ``c`` its exploration
    weight. There, priors multiply the second term, and all children of a node are made in a row; here priors are equal,
    and each child is chosen by itself.
    """

    children: int = 2
    c: float = math.sqrt(2)

    def bounds(self, node: Any) -> list[float]:
        """The bound of each child of ``node``."""
        spread = math.log(max(node.visits + node.pending, 1))
        return [
            child.total / tried + self.c * math.sqrt(spread / tried) if (tried := child.visits + child.pending) else 0.0
            for child in node.children
        ]


@dataclass(frozen=True)
class PUCT(UpperBound):
    """``Q / n + c * P * sqrt(N) / (1 + n)``: the prior ``P`` of a child directs the search.

    Silver et al. (AlphaGo Zero, Nature 550, 2017), where a network gives the prior. Here it is the softmax of the
    siblings' own scores (a process reward model's, in a search over steps) at ``temperature``. The rest is as in
    ``UCT``.
    """

    children: int = 4
    c: float = 1.0
    temperature: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.temperature <= 0:
            raise ValueError(f"temperature must be above 0, not {self.temperature}")

    def bounds(self, node: Any) -> list[float]:
        """The bound of each child of ``node``; one without a score has no prior."""
        scores = np.array([-np.inf if child.score is None else child.score for child in node.children])
        weights = (
            np.exp((scores - scores.max()) / self.temperature) if np.isfinite(scores).any() else np.ones(len(scores))
        )
        tried = np.array([child.visits + child.pending for child in node.children])
        means = np.array([child.total for child in node.children]) / np.maximum(tried, 1)
        parent = node.visits + node.pending
        return list(means + self.c * weights / weights.sum() * math.sqrt(parent) / (1 + tried))


def descend(root: Any, children: float, bounds: Callable[[Any], list[float]]) -> Any:
    """From ``root`` to the child with the highest bound whose subtree has room; of equal ones, the first.

    Ends at the first node that has fewer than ``children`` children.
    """
    node = root
    while len(node.children) >= children:
        ranked = zip(bounds(node), node.children, strict=True)
        node = max(((bound, child) for bound, child in ranked if child.room > 0), key=lambda pair: pair[0])[1]
    return node
