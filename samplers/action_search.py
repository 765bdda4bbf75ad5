"""Monte Carlo tree search in which a place is entered with all its children at once, and tried by a random walk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from widthwise.pruning.uct import UCT

Content = TypeVar("Content")


@dataclass(eq=False)
class Place(Generic[Content]):
    """One state; ``value`` is the reward of a walk that ends here, None if none should.

    ``children`` is None until the place is entered. ``visits`` and ``total`` count and sum the rewards of the walks
    that went through it.
    """

    content: Content
    parent: Place[Content] | None = None
    value: float | None = None
    children: list[Place[Content]] | None = None
    visits: int = 0
    total: float = 0.0
    pending: int = field(default=0, init=False)

    @property
    def path(self) -> list[Place[Content]]:
        """The places from the root to this one."""
        found: list[Place[Content]] = [self]
        while (above := found[-1].parent) is not None:
            found.append(above)
        return found[::-1]


Enter = Callable[[Place[Content]], Awaitable[list[Place[Content]]]]
"""Makes the children of a place."""


async def walk(
    root: Place[Content], enter: Enter[Content], depth: int, c: float, chance: np.random.Generator
) -> Place[Content]:
    """One walk, and where it ends: with a reward, at ``depth``, or where there are no children.

    From the root it follows the highest bound (``UCT`` with weight ``c``) as long as all children have been tried, and
    random children from there on. As in the released code of rStar.
    """
    place = _chosen(root, c, chance)
    while place.value is None and len(place.path) <= depth:
        if place.children is None:
            place.children = await enter(place)
        if not place.children:
            break
        place = _any(place.children, chance)
    for passed in place.path:
        passed.visits += 1
        passed.total += place.value or 0.0
    return place


def _chosen(root: Place[Content], c: float, chance: np.random.Generator) -> Place[Content]:
    """The first place on the way down that has not been entered or tried."""
    place = root
    while place.children:
        untried = [child for child in place.children if not child.visits]
        if untried:
            return _any(untried, chance)
        bounds = UCT(len(place.children), c).bounds(place)
        place = place.children[max(range(len(bounds)), key=bounds.__getitem__)]
    return place


def _any(places: Sequence[Place[Content]], chance: np.random.Generator) -> Place[Content]:
    return places[int(chance.integers(len(places)))]
