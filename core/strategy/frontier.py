"""The contract of frontier selectors: which open nodes of a search tree are expanded, and how far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from widthwise.core.brief import Brief
from widthwise.core.registry import declares
from widthwise.core.strategy.part import Part
from widthwise.core.strategy.step_tree import Node

if TYPE_CHECKING:
    from widthwise.core.session.session import Session


@dataclass(frozen=True, slots=True)
class Frontier(Brief):
    """What a selector chooses from: ``nodes``, and how many children they may have altogether (``width``)."""

    nodes: tuple[Node, ...]
    width: int


@dataclass(frozen=True, slots=True)
class Selection(Brief):
    """What a selector chose: how many children each kept node gets, and why the others are given up.

    A kept node may get none: it stays open.
    """

    widths: Mapping[Node, int]
    reasons: Mapping[Node, str] = field(default_factory=dict)


@declares("selector")
class Selector(Part):
    """Chooses among the open nodes of a tree. ``a | b`` lets ``b`` choose among what ``a`` kept.

    A selector that only gives nodes up spreads the width evenly over the rest; the last selector decides the widths.
    Your own selector is a frozen dataclass that derives from this class and has ``select``.
    """

    __slots__ = ()

    async def select(self, session: Session, frontier: Frontier) -> Selection:
        """Which nodes to keep; every node of the frontier must be in exactly one of the two mappings."""
        raise NotImplementedError

    def __or__(self, other: Any) -> Any:
        return Chain((*_links(self), *_links(other))) if isinstance(other, Selector) else super().__or__(other)


@dataclass(frozen=True)
class Chain(Selector):
    """Selectors applied one after another."""

    links: tuple[Selector, ...]

    async def select(self, session: Session, frontier: Frontier) -> Selection:
        reasons: dict[Node, str] = {}
        selection = spread(frontier.nodes, frontier.width)
        for link in self.links:
            selection = await link.select(session, Frontier(tuple(selection.widths), frontier.width))
            reasons |= selection.reasons
        return Selection(selection.widths, reasons)

    def __str__(self) -> str:
        return " | ".join(map(str, self.links))

    def brief(self) -> str:
        return " | ".join(link.brief() for link in self.links)


def _links(selector: Selector) -> tuple[Selector, ...]:
    return selector.links if isinstance(selector, Chain) else (selector,)


def spread(kept: Sequence[Node], width: int, reasons: Mapping[Node, str] | None = None) -> Selection:
    """The width divided evenly; if it does not divide, the first nodes get one more."""
    each, more = divmod(width, max(len(kept), 1))
    return Selection({node: each + (i < more) for i, node in enumerate(kept)}, reasons or {})


def ranked(nodes: Sequence[Node]) -> list[Node]:
    """Best score first, equal scores in their order; nodes without a score come last, since unscored is not zero."""
    return sorted(nodes, key=lambda node: (node.score is None, -(node.score or 0.0)))


def shown(score: float | None) -> str:
    """A score as shown to people in a reason."""
    return "unscored" if score is None else f"score {score:.3f}"
