"""A search tree: steps of traces as nodes, and the plan for the next expansion; a value that can be pickled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from widthwise.core.brief import Brief, brief, counted
from widthwise.core.strategy.tree import Tree
from widthwise.core.tabular import Tabular
from widthwise.core.trace.trace import Trace

NodeState = Literal["open", "expanded", "finished", "cut", "dead", "pruned"]
"""The state of a node. "open": its step ended at the step separator, and it waits in the frontier. "expanded": it has
children. "finished": the model ended the trace by itself. "cut": a token limit ended it; it grows no more, and states
an answer only if it got that far. "dead": it cannot be continued (an empty step, a failed request, stopped by an online
pruner). "pruned": a frontier selector gave it up.
"""


@dataclass(slots=True, eq=False)
class Node(Brief):
    """One step; ``trace`` is the path that ends with it.

    ``index`` is its place in the tree, ``depth`` counts steps after the prompt, ``tokens`` those sampled along
    the path, ``round`` is the expansion it came from. ``score`` is None if there is none, and ``reason`` says why a
    node is cut, dead, pruned or unscored.
    """

    trace: Trace
    parent: Node | None = None
    index: int = 0
    depth: int = 0
    tokens: int = 0
    round: int = 0
    state: NodeState = "open"
    score: float | None = None
    reason: str = ""
    children: int = 0

    def __repr__(self) -> str:
        score = "" if self.score is None else f", score {self.score:.3g}"
        return f"Node({self.index}, depth {self.depth}, {self.state}{score}, {brief(self.step)})"

    @property
    def step(self) -> str:
        """The text of this step alone."""
        stem = self.trace.stem
        begun = stem.segment.text if stem is not None and "cut" in stem.segment.metadata else ""
        return begun + "".join(segment.text for segment in self.trace.pieces)

    @property
    def ancestors(self) -> Iterator[Node]:
        """The nodes above, the nearest first, the root last."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent


@dataclass(slots=True, eq=False)
class StepTree(Tabular):
    """A search in progress.

    ``nodes`` are in order of creation, the root first. ``width`` is how many children the first round makes; ``plan``
    says how many children each node gets next, and an empty plan ends the search. ``waiting`` are the open nodes that
    are not in the plan, ``solved`` counts those that are finished or cut, ``round`` the expansions.
    """

    nodes: list[Node]
    width: int
    plan: list[tuple[Node, int]]
    waiting: list[Node] = field(default_factory=list)
    solved: int = 0
    round: int = 0
    asked: Tree[Node] | None = None

    @classmethod
    def of(cls, root: Trace, width: int) -> StepTree:
        """A search about to draw ``width`` first steps."""
        node = Node(root)
        return cls([node], width, [(node, width)])

    def add(self, parent: Node, trace: Trace) -> Node:
        """A new node below ``parent``."""
        node = Node(trace, parent, len(self.nodes), parent.depth + 1, parent.tokens + trace.drawn, self.round)
        self.nodes.append(node)
        parent.children += 1
        return node

    def having(self, *states: NodeState) -> list[Node]:
        """The nodes in these states, in order of creation."""
        return [node for node in self.nodes if node.state in states]

    def table(self) -> dict[str, list[Any]]:
        """One row per node, in order of creation."""
        said = ("index", "depth", "round", "state", "score", "tokens", "reason", "step")
        parents = [None if node.parent is None else node.parent.index for node in self.nodes]
        return {"parent": parents, **{name: [getattr(node, name) for node in self.nodes] for name in said}}

    def __repr__(self) -> str:
        found = (f"{counted(len(self.nodes), 'node')}, round {self.round}", f"{self.solved} solved")
        return f"StepTree({', '.join(found)}, {len(self.waiting) + len(self.plan)} to expand)"

    def wasted(self) -> int:
        """Sampled tokens of inner nodes whose descendants were all given up."""
        useful = [node.state in ("open", "finished", "cut") for node in self.nodes]
        tokens = 0
        for node in reversed(self.nodes):
            if useful[node.index] and node.parent is not None:
                useful[node.parent.index] = True
            elif node.state == "expanded" and node.parent is not None and not useful[node.index]:
                tokens += node.trace.drawn
        return tokens
