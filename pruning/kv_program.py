"""The integer program of ETS: which leaves to keep, paying for tree nodes and earning reward and coverage."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_NODE_LIMIT = 20_000
"""Node limit of branch and bound; a limit in seconds would make results depend on the machine's load."""


@dataclass(frozen=True, slots=True)
class KvProgram:
    """Maximise ``sum shares - cost * kept nodes / all nodes + coverage * covered clusters / all clusters``.

    ``shares`` are the leaves' shares of the reward, ``leaf_parents`` the inner node above each. ``inner_parents`` has
    the inner node above each inner node, -1 at the root. ``clusters`` numbers each leaf's cluster from 0; it is empty
    if coverage does not count. An inner node is kept with the first leaf below it.
    """

    shares: tuple[float, ...]
    leaf_parents: tuple[int, ...]
    inner_parents: tuple[int, ...]
    clusters: tuple[int, ...] = ()
    cost: float = 1.0
    coverage: float = 0.0

    @property
    def node_cost(self) -> float:
        return self.cost / (len(self.shares) + len(self.inner_parents))

    @property
    def cluster_gain(self) -> float:
        return self.coverage / (max(self.clusters) + 1) if self.clusters else 0.0

    def value(self, kept: Sequence[int]) -> float:
        """The objective if just these leaves are kept."""
        inner: set[int] = set()
        for leaf in kept:
            node = self.leaf_parents[leaf]
            while node >= 0 and node not in inner:
                inner.add(node)
                node = self.inner_parents[node]
        covered = len({self.clusters[leaf] for leaf in kept}) if self.clusters else 0
        reward = sum(self.shares[leaf] for leaf in kept)
        return reward - self.node_cost * (len(inner) + len(kept)) + self.cluster_gain * covered

    def solve(self) -> list[int] | None:
        """The best leaves to keep, by HiGHS; None if it finds no optimum within its limit."""
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import coo_array

        n, m, k = len(self.shares), len(self.inner_parents), max(self.clusters, default=-1) + 1
        gains = np.repeat([-self.node_cost, self.cluster_gain], [n + m, k])
        gains[:n] += self.shares
        rows, columns, signs = zip(*self._entries(n, m), strict=True)
        matrix = coo_array((signs, (rows, columns)), shape=(max(rows) + 1, n + m + k)).tocsr()
        lower = np.zeros(matrix.shape[0])
        lower[0] = 1  # at least one leaf
        found = milp(
            -gains,
            # With integer leaves, the best inner nodes and clusters are integers by themselves.
            integrality=np.repeat([1, 0], [n, m + k]),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(matrix, lower),
            options={"node_limit": _NODE_LIMIT},
        )
        return [i for i in range(n) if found.x[i] > 0.5] if found.success else None

    def _entries(self, n: int, m: int) -> list[tuple[int, int, int]]:
        """The constraints as (row, column, sign); columns are leaves, inner nodes, clusters.

        Row 0 counts the leaves. Every other row must not be negative: it is the needed column minus the one that needs
        it (the node above a node, or the leaves of a cluster).
        """
        entries = [(0, leaf, 1) for leaf in range(n)]
        edges = [(parent, leaf) for leaf, parent in enumerate(self.leaf_parents)]
        edges += [(parent, n + node) for node, parent in enumerate(self.inner_parents) if parent >= 0]
        for row, (parent, below) in enumerate(edges, 1):
            entries += [(row, n + parent, 1), (row, below, -1)]
        first = len(edges) + 1
        entries += [(first + cluster, leaf, 1) for leaf, cluster in enumerate(self.clusters)]
        return entries + [(first + cluster, n + m + cluster, -1) for cluster in set(self.clusters)]

    def greedy(self) -> list[int]:
        """Drop the leaf whose loss gains most, again and again, until none gains; near the optimum, and never slow."""
        return _Greedy(self).run()


class _Greedy:
    """For every inner node and cluster, how many kept leaves it has and the sum of their numbers.

    With one leaf left, the sum is that leaf, and only its gain has to be corrected.
    """

    def __init__(self, program: KvProgram) -> None:
        self._program = program
        self._kept = set(range(len(program.shares)))
        self._inner = [[0, 0] for _ in program.inner_parents]
        self._clusters = [[0, 0] for _ in range(max(program.clusters, default=-1) + 1)]
        for leaf in self._kept:
            for count in self._counts(leaf):
                count[0] += 1
                count[1] += leaf
        self._gains = [self._gain(leaf) for leaf in sorted(self._kept)]

    def run(self) -> list[int]:
        heap = [(-gain, leaf) for leaf, gain in enumerate(self._gains)]
        heapq.heapify(heap)
        while heap and len(self._kept) > 1:
            gain, leaf = heapq.heappop(heap)
            if leaf not in self._kept or -gain != self._gains[leaf]:
                continue
            if -gain <= 1e-12:
                break
            self._kept.discard(leaf)
            for other in self._drop(leaf):
                self._gains[other] = self._gain(other)
                heapq.heappush(heap, (-self._gains[other], other))
        return sorted(self._kept)

    def _counts(self, leaf: int) -> list[list[int]]:
        """The counters of the inner nodes above a leaf, the nearest first, and of its cluster at the end."""
        counts, node = [], self._program.leaf_parents[leaf]
        while node >= 0:
            counts.append(self._inner[node])
            node = self._program.inner_parents[node]
        return [*counts, self._clusters[self._program.clusters[leaf]]] if self._program.clusters else counts

    def _drop(self, leaf: int) -> set[int]:
        """Take a leaf out of the counters; returns the leaves whose gain has changed."""
        changed = set()
        for count in self._counts(leaf):
            count[0] -= 1
            count[1] -= leaf
            if count[0] == 1:
                changed.add(count[1])
        return changed

    def _gain(self, leaf: int) -> float:
        """What the objective gains if this leaf is dropped, with the inner nodes that it alone needs."""
        counts = self._counts(leaf)
        last = self._program.clusters and counts.pop()[0] == 1
        nodes = 1 + sum(count[0] == 1 for count in counts)
        lost = self._program.shares[leaf] + (self._program.cluster_gain if last else 0.0)
        return nodes * self._program.node_cost - lost
