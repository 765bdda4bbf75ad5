"""A tree for programs with their own loop: it says what to make next, and is told the result."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from numbers import Real
from typing import Any, Generic, Literal, TypeVar

from widthwise.core.arguments import whole
from widthwise.core.brief import Brief, counted
from widthwise.core.errors import UsageError
from widthwise.core.strategy.tree_policy import TreePolicy

Content = TypeVar("Content")

TreeNodeState = Literal["asked", "open", "finished", "failed"]
"""The state of a node. "asked": ``ask`` named it, and it waits to be told. "open": it may have children. "finished": it
may have none. "failed": nothing was made.
"""


_NOWHERE = (-math.inf, 0)
"""The ``best`` of a subtree in which no node may have another child."""


@dataclass(slots=True, eq=False)
class TreeNode(Brief, Generic[Content]):
    """One state of a search; ``content`` is the caller's own, None until the node is told.

    ``visits``, ``total`` and ``squares`` count, sum and square the scores of the node and of all nodes below it,
    ``pending`` counts nodes below it (including itself) that were asked for and not told, and ``room`` how many
    children may still be asked for in its subtree. ``number`` counts nodes as they are made, the root 0. ``best`` is
    the highest score of a node in the subtree that may have another child (-1 for none) with its number, negated: of
    equal scores the first node's is the highest.
    """

    parent: TreeNode[Content] | None = None
    content: Content | None = None
    score: float | None = None
    standing: TreeNodeState = "open"
    reason: str = ""
    children: list[TreeNode[Content]] = field(default_factory=list, repr=False)
    visits: int = 0
    total: float = 0.0
    squares: float = 0.0
    pending: int = 0
    room: float = 0
    number: int = 0
    best: tuple[float, int] = _NOWHERE

    @property
    def path(self) -> Iterator[TreeNode[Content]]:
        """The node and its ancestors, the root last."""
        node: TreeNode[Content] | None = self
        while node is not None:
            yield node
            node = node.parent

    @property
    def depth(self) -> int:
        return sum(1 for _ in self.path) - 1

    def __repr__(self) -> str:
        score = "" if self.score is None else f", score {self.score:.3f}"
        return f"TreeNode({self.standing}{score}, {len(self.children)} children)"


class Tree(Brief, Generic[Content]):
    """A search whose nodes the caller makes, as states of any kind with scores in [0, 1].

    >>> from widthwise import UCT, Tree
    >>> tree = Tree(UCT(children=2), root="")
    >>> for node in tree.ask(2):
    ...     tree.tell(node, content=node.parent.content + "a", score=0.5)
    >>> len(tree.best(2))
    2

    ``ask`` names nodes to be made, each a child of its ``parent``, chosen by the policy; ``tell`` takes the result for
    one, in any order. The tree can be pickled at any time and continues as it would have; it still waits for requested
    nodes then, until they are told or ``forget`` drops them. Random choices are derived from ``seed`` and from how many
    nodes were asked for, so equal answers in an equal order make an equal tree.
    Raises ``UsageError`` for something other than a policy, and for a seed that is not a whole number of at least 0.
    """

    def __init__(self, policy: TreePolicy, root: Content | None = None, *, seed: int = 0) -> None:
        self.policy, self.seed, self.asked = checked_policy(policy), whole(seed, "seed", 0), 0
        self.root: TreeNode[Content] = TreeNode(content=root, room=policy.branching)
        self.nodes: list[TreeNode[Content]] = [self.root]
        self._awaited: dict[TreeNode[Content], None] = {}
        self._raise(self.root)

    def ask(self, count: int = 1) -> list[TreeNode[Content]]:
        """Up to ``count`` nodes to make now: fewer, or none, if all others wait for requested nodes.

        An empty list while nothing is pending means that the tree is exhausted. Raises ``UsageError`` for a count below
        1.
        """
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise UsageError(f"a tree is asked for at least one node, not {count!r}")
        found: list[TreeNode[Content]] = []
        while len(found) < count and self.root.room > 0:
            parent = self.policy.choose(self.root, self.seed, self.asked)
            node: TreeNode[Content] = TreeNode(parent, standing="asked", number=self.asked + 1)
            parent.children.append(node)
            self.nodes.append(node)
            self._awaited[node] = None
            self.asked += 1
            self._lower(parent)
            for above in parent.path:
                above.room -= 1
            for above in node.path:
                above.pending += 1
            found.append(node)
        return found

    def tell(
        self,
        node: TreeNode[Content],
        score: float | None = None,
        *,
        content: Content | None = None,
        finished: bool = False,
        failed: str = "",
    ) -> None:
        """The result for ``node``: ``content`` with a ``score``, ``finished`` if nothing may follow it; or why it
        failed.

        The score may be any real number, such as a ``numpy.float32``. Raises ``UsageError`` for a node that does not
        wait to be told, for one of another tree (this one's copy, for example), for a score that is not a number, and
        for one outside [0, 1].
        """
        if checked_node(node).standing != "asked":
            raise UsageError(f"this node is {node.standing}: each is told once, after it was asked for")
        self._check_own(node)
        if not failed:
            node.score = checked_score(score)
        del self._awaited[node]
        for above in node.path:
            above.pending -= 1
        if failed:
            node.standing, node.reason = "failed", failed
            return
        node.content, node.standing = content, "finished" if finished else "open"
        self._raise(node)
        room = 0 if finished else self.policy.branching
        for above in node.path:
            above.room += room
            above.visits += 1
            above.total += node.score or 0.0
            above.squares += (node.score or 0.0) ** 2

    def forget(self, node: TreeNode[Content]) -> None:
        """Ask for ``node`` again some time: its result was lost (a worker died ...).

        Raises ``UsageError`` for a node that does not wait to be told, and for one of another tree.
        """
        if checked_node(node).standing != "asked" or node.parent is None:
            raise UsageError(f"this node is {node.standing}: only one that waits to be told can be forgotten")
        self._check_own(node)
        del self._awaited[node]
        node.parent.children.remove(node)
        self.nodes.remove(node)
        self._raise(node.parent)
        for above in node.parent.path:
            above.room += 1
            above.pending -= 1
        node.standing, node.reason = "failed", "forgotten"

    @property
    def waiting(self) -> list[TreeNode[Content]]:
        """The nodes that were asked for and not told."""
        return list(self._awaited)

    def _own(self, node: TreeNode[Content]) -> tuple[float, int]:
        """What a node alone would have as its ``best``."""
        able = node.standing == "open" and len(node.children) < self.policy.branching
        return (-1.0 if node.score is None else node.score, -node.number) if able else _NOWHERE

    def _raise(self, node: TreeNode[Content]) -> None:
        """``node`` may have children from now on, or again."""
        own = self._own(node)
        for above in node.path:
            if above.best >= own:
                return
            above.best = own

    def _lower(self, node: TreeNode[Content]) -> None:
        """``node`` has another child: if it was its last, others are the best of the subtrees above."""
        if len(node.children) < self.policy.branching:
            return
        for above in node.path:
            before, above.best = above.best, max([self._own(above), *(child.best for child in above.children)])
            if above.best == before:
                return

    def _check_own(self, node: TreeNode[Content]) -> None:
        """Raises ``UsageError`` if this tree does not wait for ``node``."""
        if node not in self._awaited:
            raise UsageError(
                "this node was asked of another tree: after a tree is loaded or copied, `waiting` has its own nodes"
            )

    def best(self, count: int = 1, *, finished: bool = False) -> list[TreeNode[Content]]:
        """The ``count`` nodes (or ``finished`` nodes) with the highest scores, equal ones in order of creation."""
        scored = [n for n in self.nodes if n.score is not None and (n.standing == "finished" or not finished)]
        return sorted(scored, key=lambda node: -(node.score or 0.0))[:count]

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        return f"Tree({self.policy}, {counted(len(self.nodes), 'node')}, {self.root.pending} pending)"

    def __getstate__(self) -> dict[str, Any]:
        """Nodes as rows that name their parents by number: a pickle must not follow a deep tree from node to node."""
        place = {node: i for i, node in enumerate(self.nodes)}
        rows = [
            (None if n.parent is None else place[n.parent], n.content, n.score, n.standing, n.reason, n.visits,
             n.total, n.squares, n.pending, n.room)
            for n in self.nodes
        ]  # fmt: skip
        return {"policy": self.policy, "seed": self.seed, "asked": self.asked, "rows": rows}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.policy, self.seed, self.asked = state["policy"], state["seed"], state["asked"]
        self.nodes = []
        for parent, content, score, standing, reason, visits, total, squares, pending, room in state["rows"]:
            above = None if parent is None else self.nodes[parent]
            place = len(self.nodes)
            node = TreeNode(above, content, score, standing, reason, [], visits, total, squares, pending, room, place)
            self.nodes.append(node)
            if above is not None:
                above.children.append(node)
        self.root = self.nodes[0]
        self._awaited = {node: None for node in self.nodes if node.standing == "asked"}
        for node in reversed(self.nodes):
            node.best = max([self._own(node), *(child.best for child in node.children)])


def checked_policy(policy: Any) -> TreePolicy:
    """``policy``. Raises ``UsageError`` if it is no ``TreePolicy`` (its class is none)."""
    made = not isinstance(policy, type) and callable(getattr(policy, "choose", None))
    if not made or not isinstance(getattr(policy, "branching", None), int | float):
        raise UsageError(f"a tree takes a policy, such as ww.UCT() or ww.BestFirst(), not {policy!r:.60}")
    chooses: TreePolicy = policy
    return chooses


def checked_node(node: Any) -> TreeNode[Any]:
    """``node``. Raises ``UsageError`` if it is none."""
    if not isinstance(node, TreeNode):
        raise UsageError(f"a tree is told about a node that its ask returned, not about {node!r:.60}")
    return node


def checked_score(score: Any) -> float:
    """``score`` as a float. Raises ``UsageError`` if it is no real number, and if it is outside [0, 1]."""
    if not isinstance(score, Real | Decimal) or isinstance(score, bool) or _is_nan(score):
        raise UsageError(f"a node is told with a score from 0 to 1, or as failed, not with {score!r:.60}")
    number: Any = score
    if not 0 <= number <= 1:
        raise UsageError(f"the score {score!s:.60} is outside 0 to 1: scale it")
    return float(number)


def _is_nan(number: Any) -> bool:
    return number.is_nan() if isinstance(number, Decimal) else bool(number != number)
