"""Wider or deeper, by Thompson sampling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from widthwise.core.arrays import DoubleArray
from widthwise.core.strategy.part import Part

ScoreBelief = Literal["gauss", "beta"]


@dataclass(frozen=True)
class AdaptiveBranching(Part):
    """AB-MCTS-A (Inoue et al., arXiv 2503.04412): at each node, draws decide between a new child and an existing one.

    One number is drawn from the belief about new children (``GEN``: the scores of the node's children) and one from the
    belief about going deeper (``CONT``: the scores of all nodes further down). The larger decides: a new child here, or
    on to the child with the largest number drawn from the scores of its subtree. Nodes have no limit of children.

    ``belief`` "gauss" is a normal distribution under a normal-inverse-chi-square prior (mean 0, one observation's worth
    each, scale 0.1), "beta" a beta distribution under Jeffreys' prior (0.5, 0.5); both as in treequest.
    """

    belief: ScoreBelief = "gauss"

    def __post_init__(self) -> None:
        if self.belief not in ("gauss", "beta"):
            raise ValueError(f"belief must be 'gauss' or 'beta', not {self.belief!r}")

    @property
    def branching(self) -> float:
        return math.inf

    def choose(self, root: Any, seed: int, number: int) -> Any:
        chance = np.random.default_rng([seed % 2**64, number])
        node = root
        while told := [child for child in node.children if child.visits]:
            own, all_below = _seen(told, own=True), _seen(told)
            new, on = (float(self._drawn(chance, seen.sum(axis=1))) for seen in (own, all_below - own))
            able = np.array([child.room > 0 for child in told])
            if new >= on or not able.any():
                return node
            node = told[int(np.argmax(np.where(able, self._drawn(chance, all_below), -np.inf)))]
        return node

    def arm(self, seen: Sequence[Sequence[float]], seed: int, number: int) -> int:
        """Which of several models makes the next node, given the scores of all nodes that each has made so far.

        Multi-LLM AB-MCTS: a number is drawn from the belief about each model's nodes, wherever in the tree they are,
        and the largest decides.
        """
        if len(seen) == 1:
            return 0
        chance = np.random.default_rng([seed % 2**64, number, 1])
        sums = [(len(scores), math.fsum(scores), math.fsum(s * s for s in scores)) for scores in seen]
        return int(np.argmax(self._drawn(chance, np.array(sums, np.float64).T)))

    def _drawn(self, chance: np.random.Generator, seen: DoubleArray) -> DoubleArray:
        """Means drawn from the belief after ``seen``: number of scores, their sum, sum of their squares [3, ...]."""
        n, total, squares = seen
        if self.belief == "beta":
            return np.asarray(chance.beta(0.5 + np.maximum(total, 0), 0.5 + np.maximum(n - total, 0)))
        return normal_means(chance, n, total, squares)


_MEAN, _KAPPA, _NU, _SCALE = 0.0, 1.0, 1.0, 0.1


def normal_means(chance: np.random.Generator, n: Any, total: Any, squares: Any) -> DoubleArray:
    """Draws of the mean of normal distributions after ``n`` observations each, both parameters unknown."""
    mean = total / np.maximum(n, 1)
    spread = np.maximum(squares - n * mean * mean, 0.0)
    kappa, nu = _KAPPA + n, _NU + n
    center = (_KAPPA * _MEAN + total) / kappa
    scale = (_NU * _SCALE + spread + n * _KAPPA * (_MEAN - mean) ** 2 / kappa) / nu
    variance = nu * scale / chance.chisquare(nu)
    return np.asarray(chance.normal(center, np.sqrt(variance / kappa)))


def _seen(nodes: Sequence[Any], *, own: bool = False) -> DoubleArray:
    """What is known of nodes, ``[3, nodes]``: of all nodes in their subtrees, or only their ``own`` scores."""
    if own:
        return np.array([(1, node.score, node.score**2) for node in nodes], np.float64).T
    return np.array([(node.visits, node.total, node.squares) for node in nodes], np.float64).T
