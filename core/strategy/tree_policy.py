"""The contract of tree policies: where in a tree the next node is made."""

from __future__ import annotations

from typing import Any, Protocol


class Visited(Protocol):
    """What a policy sees of a node (``TreeNode``)."""

    @property
    def children(self) -> list[Any]: ...
    @property
    def score(self) -> float | None: ...
    @property
    def visits(self) -> int: ...
    @property
    def total(self) -> float: ...
    @property
    def squares(self) -> float: ...
    @property
    def pending(self) -> int: ...
    @property
    def room(self) -> float: ...
    @property
    def best(self) -> tuple[float, int]: ...


class TreePolicy(Protocol):
    """Says under which node the next one is made. A policy has no state: everything it needs is in the nodes.

    ``branching`` is how many children a node may have (infinite for no limit).
    """

    @property
    def branching(self) -> float: ...

    def choose(self, root: Any, seed: int, number: int) -> Any:
        """A node below ``root`` (or ``root``) that has room for a child; ``number`` counts the choices made so far.

        Called only while ``root.room`` is above 0. Random choices derive from ``seed`` and ``number``.
        """
        ...
