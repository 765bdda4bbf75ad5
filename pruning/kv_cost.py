"""Keep the nodes that are worth the cache they hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import AccessRefused, BackendError
from widthwise.core.registry import register
from widthwise.core.strategy.frontier import Frontier, Selection, Selector, shown, spread
from widthwise.core.strategy.step_tree import Node
from widthwise.pruning.kv_program import KvProgram
from widthwise.pruning.softmax_balanced import SoftmaxBalanced, check_balance

if TYPE_CHECKING:
    from widthwise.core.session.conditions import Conditions
    from widthwise.core.session.session import Session


@register("selector")
@dataclass(frozen=True)
class KvCost(Selector):
    """ETS's pruning (Hooper et al., arXiv 2502.13575): kept nodes earn their REBASE share, and pay for the tree.

    Maximises the share of the width kept, minus ``cost`` (the paper's lambda_b) times the share of the tree's nodes
    kept, plus ``coverage`` (lambda_d) times the share of the meanings kept. Last steps whose embeddings lie within a
    cosine distance of ``distance`` on average have the same meaning. The integer program is solved exactly by HiGHS,
    or, with ``greedy``, by dropping one node after another. ``temperature`` applies to the shares. ``coverage`` 0 needs
    no embedding model; if embedding fails, a round is decided without it, and that is noted.
    """

    cost: float = 1.0
    coverage: float = 1.5
    temperature: float = 0.2
    distance: float = 0.05
    greedy: bool = False

    def __post_init__(self) -> None:
        check_balance(self.temperature, "temperature")
        for name in ("cost", "coverage", "distance"):
            if not 0 <= (number := getattr(self, name)) < math.inf:
                raise ValueError(f"{name} must be at least 0 and finite, not {number}")

    def check(self, conditions: Conditions) -> None:
        """Raises ``UsageError`` for a run without an embedding model, if coverage counts."""
        if self.coverage:
            conditions.embedding_model(self.brief())

    async def select(self, session: Session, frontier: Frontier) -> Selection:
        nodes = frontier.nodes
        rebase = await SoftmaxBalanced(self.temperature).select(session, frontier)
        shares = [rebase.widths.get(node, 0) / max(frontier.width, 1) for node in nodes]
        program = self._program(nodes, shares, await self._clusters(session, nodes))
        kept = None if self.greedy else program.solve()
        chosen = set(program.greedy() if kept is None else kept)
        reasons = {
            node: f"its share {share:.3f} ({shown(node.score)}) is not worth the cache it holds"
            for i, (node, share) in enumerate(zip(nodes, shares, strict=True))
            if i not in chosen
        }
        return spread([node for i, node in enumerate(nodes) if i in chosen], frontier.width, reasons)

    async def _clusters(self, session: Session, nodes: Sequence[Node]) -> tuple[int, ...]:
        """The nodes' meanings by number; empty if they do not count or all steps are the same."""
        steps = [node.step.strip() for node in nodes]
        distinct = list(dict.fromkeys(steps))
        if not self.coverage or len(distinct) < 2:
            return ()
        try:
            vectors = await session.embed(distinct)
        except AccessRefused:
            raise
        except BackendError as error:
            session.note(session.root, f"a round was decided without the steps' meanings: {error}")
            return ()
        meaning = dict(zip(distinct, clusters(vectors, self.distance), strict=True))
        return tuple(meaning[step] for step in steps)

    def _program(self, nodes: Sequence[Node], shares: Sequence[float], meanings: tuple[int, ...]) -> KvProgram:
        inner: dict[Node, int] = {}
        for node in nodes:
            for above in node.ancestors:
                if above in inner:
                    break
                inner[above] = len(inner)
        return KvProgram(
            shares=tuple(shares),
            leaf_parents=tuple(inner[node.parent] if node.parent else -1 for node in nodes),
            inner_parents=tuple(inner[node.parent] if node.parent else -1 for node in inner),
            clusters=meanings,
            cost=self.cost,
            coverage=self.coverage,
        )


def clusters(vectors: FloatArray, distance: float) -> list[int]:
    """Average-linkage clusters of unit vectors ``[n, d]``, n > 1, cut at a cosine distance; numbers from 0."""
    from scipy.cluster.hierarchy import fcluster, linkage

    upper = np.triu_indices(len(vectors), 1)
    distances = np.clip(1 - (vectors @ vectors.T)[upper], 0, None).astype(np.float64)
    numbers = fcluster(linkage(distances, "average"), t=distance, criterion="distance")
    return [int(number) - 1 for number in numbers]
