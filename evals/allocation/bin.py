"""Bins of difficulty: what samples and other strategies are worth for problems of one difficulty."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from widthwise.core.brief import Brief

_MOST = 1 << 20
"""The largest number of samples that a bin knows of."""


@dataclass(frozen=True)
class Alternative(Brief):
    """Another strategy in place of samples: it costs as much as ``samples`` of them, and answers ``right`` right."""

    strategy: str
    samples: float
    right: float

    def __post_init__(self) -> None:
        if not 0 < self.samples <= _MOST:
            raise ValueError(f"an alternative costs as much as some samples, at most {_MOST:,}")
        _check_shares([self.right])


@dataclass(frozen=True, slots=True)
class Step:
    """``samples`` more (or what costs as much) are worth ``gain``; they end at an alternative, or at samples (None).

    It is ``divisible`` if it only adds samples.
    """

    samples: float
    gain: float
    alternative: Alternative | None
    divisible: bool


@dataclass(frozen=True)
class Bin(Brief):
    """Problems of one difficulty: with ``sizes[i]`` samples, ``right[i]`` of them are answered right by ``choose[i]``.

    ``sizes`` rise; ``choose`` are aggregators as strategies write them. ``alternatives`` are other strategies for them.
    """

    sizes: tuple[int, ...]
    right: tuple[float, ...]
    choose: tuple[str, ...]
    alternatives: tuple[Alternative, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.sizes) == len(self.right) == len(self.choose) > 0:
            raise ValueError("sizes, right and choose have one entry each per size")
        if self.sizes[0] < 1 or any(a >= b for a, b in pairwise(self.sizes)) or self.sizes[-1] > _MOST:
            raise ValueError(f"sizes rise from 1 or more, to {_MOST:,} at most")
        _check_shares(self.right)

    @cached_property
    def _hull(self) -> tuple[list[int], list[float]]:
        """The corners of the least concave curve above the points, from the first to the highest."""
        found = _corners(self.sizes, self.right)
        return [self.sizes[i] for i in found], [self.right[i] for i in found]

    def value(self, n: float) -> float:
        """How many are answered right with ``n`` samples, by that curve."""
        return float(np.interp(n, *self._hull))

    def gain(self, n: int) -> float:
        """What the n-th sample adds; it does not rise with n, and is 0 beyond the best size."""
        return self.value(n) - self.value(n - 1)

    def chosen(self, n: int) -> str:
        """The aggregator for ``n`` samples: that of the largest size up to n."""
        return self.choose[max(bisect_right(self.sizes, n) - 1, 0)]

    def steps(self, n: int, most: int) -> list[Step]:
        """What a problem with ``n`` samples may go on with, up to ``most``: steps whose gain per sample falls.

        They lie between the corners of the least concave curve above all that it may end at.
        """
        further = [(size - n, right) for size, right in zip(self.sizes, self.right, strict=True) if n < size <= most]
        ends: list[tuple[float, float, Alternative | None]] = [(0, self.value(n), None)]
        ends += [(more, right, None) for more, right in further]
        ends += [(each.samples, each.right, each) for each in self.alternatives]
        ends.sort(key=lambda end: (end[0], -end[1]))
        kept = [end for i, end in enumerate(ends) if not i or end[0] > ends[i - 1][0]]
        found = [kept[i] for i in _corners([end[0] for end in kept], [end[1] for end in kept])]
        return [Step(b[0] - a[0], b[1] - a[1], b[2], a[2] is b[2] is None) for a, b in pairwise(found)]


def _corners(costs: Sequence[float], right: Sequence[float]) -> list[int]:
    """Which points are corners of the least concave curve above all, from the first to the highest; ``costs`` rise."""

    def slope(i: int, j: int) -> float:
        return (right[j] - right[i]) / (costs[j] - costs[i])

    found: list[int] = []
    for i in range(int(np.argmax(right)) + 1):
        while len(found) > 1 and slope(found[-2], found[-1]) <= slope(found[-1], i):
            found.pop()
        found.append(i)
    return found


def _check_shares(right: Sequence[float]) -> None:
    if not all(math.isfinite(each) and 0 <= each <= 1 for each in right):
        raise ValueError("shares of right answers are between 0 and 1")
