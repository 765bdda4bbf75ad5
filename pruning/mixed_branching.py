"""Wider or deeper, by a mixed model of all scores at a node."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from widthwise.core.arrays import DoubleArray
from widthwise.core.strategy.part import Part

_MEAN = 0.5
_POINTS = 80
_SMALLEST = 1e-3
"""The least standard deviation that is considered: equal scores would otherwise prove that there is no spread at all.
"""


@dataclass(frozen=True)
class MixedBranching(Part):
    """AB-MCTS-M (Inoue et al., arXiv 2503.04412): all children of a node are groups of one mixed model.

    A score below child j is normal around the child's own mean, with deviation ``sigma_y``; the children's means are
    normal around a common one, with deviation ``sigma_alpha``. Their priors are normal around 0.5 (deviation ``mu``)
    and half-normal. One score is predicted for each child and one for a child that is not there yet (independent draws
    from the posterior, as released); if the latter is the highest, a new child is made here, else the search goes on in
    the child. A child whose subtree has at least ``least`` nodes of which the share ``alike`` has one score is passed
    over. Defaults are those of treequest.

    treequest samples the posterior with PyMC. Here the means are integrated out and the two deviations drawn from a
    grid, which is exact but for the grid, takes milliseconds and depends on the seed alone.
    """

    mu: float = 0.2
    sigma_alpha: float = 0.2
    sigma_y: float = 0.3
    least: int = 4
    alike: float = 0.75

    def __post_init__(self) -> None:
        if not all(0 < each < math.inf for each in (self.mu, self.sigma_alpha, self.sigma_y)):
            raise ValueError("mu, sigma_alpha and sigma_y must be above 0 and finite")
        if self.least < 1 or not 0 < self.alike <= 1:
            raise ValueError(f"least must be at least 1 and alike in (0, 1], not {self.least} and {self.alike}")

    @property
    def branching(self) -> float:
        return math.inf

    def choose(self, root: Any, seed: int, number: int) -> Any:
        chance = np.random.default_rng([seed % 2**64, number])
        node = root
        while told := [child for child in node.children if child.visits]:
            *scores, new = self.predicted([(c.visits, c.total, c.squares) for c in told], chance)
            better = [i for i in np.argsort(scores)[::-1] if told[i].room > 0]
            if not better or new >= scores[better[0]]:
                return node
            onward = next((told[i] for i in better if not self._is_exhausted(told[i])), None)
            if onward is None:
                return node
            node = onward
        return node

    def arm(self, seen: Sequence[Sequence[float]], seed: int, number: int) -> int:
        """Which of several models makes the next node, given the scores of all nodes that each has made so far."""
        if len(seen) == 1:
            return 0
        chance = np.random.default_rng([seed % 2**64, number, 1])
        sums = [(len(scores), math.fsum(scores), math.fsum(s * s for s in scores)) for scores in seen if len(scores)]
        if not sums:
            return int(chance.integers(len(seen)))
        *own, _ = self.predicted(sums, chance)
        drawn = iter(own)
        return int(np.argmax([next(drawn) if len(scores) else self.predicted(sums, chance)[-1] for scores in seen]))

    def predicted(self, groups: Sequence[tuple[float, float, float]], chance: np.random.Generator) -> list[float]:
        """One score predicted for each group (number of scores, their sum, sum of squares), and one for a new group."""
        n, total, squares = np.array(groups, np.float64).T
        mean = total / n
        within = float(np.maximum(squares - n * mean**2, 0.0).sum())
        t, s = self._deviations(n, mean, within, len(groups) + 1, chance)
        share = 1 / (t[:, None] ** 2 + s[:, None] ** 2 / n)
        precision = 1 / self.mu**2 + share.sum(axis=1)
        center = (_MEAN / self.mu**2 + (share * mean).sum(axis=1)) / precision
        common = chance.normal(center, precision**-0.5)
        own = 1 / t[:-1] ** 2 + n / s[:-1] ** 2
        means = chance.normal((common[:-1] / t[:-1] ** 2 + n * mean / s[:-1] ** 2) / own, own**-0.5)
        new = chance.normal(common[-1], t[-1])
        return [float(value) for value in chance.normal([*means, new], s)]

    def _deviations(
        self, n: DoubleArray, mean: DoubleArray, within: float, draws: int, chance: np.random.Generator
    ) -> tuple[DoubleArray, DoubleArray]:
        """Draws of both deviations from their posterior on a grid, all means integrated out."""
        ts, ss = (np.geomspace(_SMALLEST, 5 * scale, _POINTS) for scale in (self.sigma_alpha, self.sigma_y))
        t, s = (each.ravel() for each in np.meshgrid(ts, ss, indexing="ij"))
        share = 1 / (t[:, None] ** 2 + s[:, None] ** 2 / n)
        precision = 1 / self.mu**2 + share.sum(axis=1)
        center = (_MEAN / self.mu**2 + (share * mean).sum(axis=1)) / precision
        squared = (share * mean**2).sum(axis=1) + _MEAN**2 / self.mu**2 - precision * center**2
        log = -(n.sum() - len(n)) * np.log(s) - within / (2 * s**2) + np.log(share).sum(axis=1) / 2
        log += -np.log(precision) / 2 - squared / 2 - t**2 / (2 * self.sigma_alpha**2) - s**2 / (2 * self.sigma_y**2)
        log += np.log(t) + np.log(s)  # the grid's cells grow with both
        weight = np.exp(log - log.max())
        place = chance.choice(len(t), draws, p=weight / weight.sum())
        return t[place], s[place]

    def _is_exhausted(self, child: Any) -> bool:
        """Whether most of what is below ``child`` has one score, to two digits."""
        scores = [round(node.score * 100) for node in _subtree(child) if node.score is not None]
        return len(scores) >= self.least and max(Counter(scores).values()) / len(scores) >= self.alike


def _subtree(node: Any) -> Iterator[Any]:
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.children
