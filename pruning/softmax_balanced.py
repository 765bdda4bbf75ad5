"""Divide a frontier's width in proportion to the softmax of the scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from widthwise.core.registry import register
from widthwise.core.strategy.frontier import Frontier, Selection, Selector, ranked, shown

if TYPE_CHECKING:
    from widthwise.core.session.session import Session

_ROUNDING = 1e-9


def check_balance(temperature: float, name: str = "balance") -> None:
    """Raises ``ValueError`` for what is no temperature of a softmax over scores."""
    if not 0 < temperature < math.inf:
        raise ValueError(f"{name} must be above 0 and finite, not {temperature}")


@register("selector")
@dataclass(frozen=True)
class SoftmaxBalanced(Selector):
    """REBASE's allocation (Wu et al., arXiv 2408.00724): the better the score, the more children; some get none.

    ``temperature`` 0.2 is meant for scores in [0, 1]. ``keep`` is the share of nodes, the best ones, that take part.
    Unscored nodes take part only if no node has a score, and then equally.
    """

    temperature: float = 0.2
    keep: float = 1.0

    def __post_init__(self) -> None:
        check_balance(self.temperature, "temperature")
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep must be above 0 and at most 1, not {self.keep}")

    async def select(self, session: Session, frontier: Frontier) -> Selection:
        scored = ranked([node for node in frontier.nodes if node.score is not None])
        chosen = scored or list(frontier.nodes)
        chosen = chosen[: math.ceil(self.keep * len(chosen))]
        shares = balanced([node.score or 0.0 for node in chosen], frontier.width, self.temperature)
        widths = {node: share for node, share in zip(chosen, shares, strict=True) if share}
        reasons = {
            node: f"{shown(node.score)} gets no child of {frontier.width} at temperature {self.temperature:g}"
            for node in frontier.nodes
            if node not in widths
        }
        return Selection({node: widths[node] for node in frontier.nodes if node in widths}, reasons)


def balanced(scores: Sequence[float], width: int, temperature: float) -> list[int]:
    """Integer shares of ``width`` by the softmax of ``scores``, aligned with them; they sum to ``width``.

    As in the released code of REBASE: from the best score down, each gets its share of what is left, rounded up.
    """
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    weights = np.exp((np.array([scores[i] for i in order]) - max(scores, default=0.0)) / temperature)
    # Sum from the small end: subtracting the largest from a total, as the code does, would leave only rounding errors.
    rest = np.cumsum(weights[::-1])[::-1]
    shares, left = [0] * len(scores), width
    for place, weight, total in zip(order, weights.tolist(), rest.tolist(), strict=True):
        if total <= 0:
            break
        shares[place] = min(left, max(math.ceil(left * weight / total - _ROUNDING), 0))
        left -= shares[place]
    return shares
