"""Hand-made frontiers for tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.core.scripted import Scripted, session
from widthwise.core.strategy.frontier import Frontier, Selection, Selector
from widthwise.core.strategy.step_tree import Node, StepTree
from widthwise.core.trace.trace import Segment, Trace


def tree_of(*paths: str, scores: Sequence[float | None] = ()) -> list[Node]:
    """Leaves of a tree whose steps are single letters: ``"Aa", "Ab", "Bc"`` has two nodes below the root."""
    root = Trace((0,), Segment("prompt", np.arange(3), "???"))
    tree, known = StepTree.of(root, len(paths)), {}
    known[""] = tree.nodes[0]
    for path in paths:
        for end in range(1, len(path) + 1):
            if path[:end] not in known:
                known[path[:end]] = _child(tree, known[path[: end - 1]], path[end - 1])
    leaves = [known[path] for path in paths]
    for leaf, score in zip(leaves, scores, strict=bool(scores)):
        leaf.score = score
    return leaves


def _child(tree: StepTree, parent: Node, letter: str) -> Node:
    number = sum(node.parent is parent for node in tree.nodes)
    segment = Segment("sampled", np.array([ord(letter)]), letter, finish="stop", reason="\n\n")
    return tree.add(parent, Trace((*parent.trace.id, number), segment, parent.trace))


async def selected(selector: Selector, nodes: Sequence[Node], width: int) -> Selection:
    """What ``selector`` chooses from ``nodes``; every node is either kept or has a reason."""
    selection = await selector.select(session(Scripted([""])), Frontier(tuple(nodes), width))
    assert set(selection.widths) | set(selection.reasons) == set(nodes)
    assert not set(selection.widths) & set(selection.reasons)
    assert list(selection.widths) == [node for node in nodes if node in selection.widths]
    return selection
