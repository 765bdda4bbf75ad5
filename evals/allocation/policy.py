"""Policies: how many samples problems of each difficulty get, and how their answers are chosen."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from widthwise.core.brief import Brief
from widthwise.core.errors import UsageError
from widthwise.core.plain_json import parse
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.strategy.strategy import Aggregator
from widthwise.evals.allocation.difficulty import difficulty_named
from widthwise.evals.allocation.prospect import Prospect
from widthwise.evals.input_file import regular_file
from widthwise.evals.replacement import replacement

_LARGEST = 1 << 20
"""Bytes of a policy file at most."""


@dataclass(frozen=True)
class Bin(Brief):
    """Problems of one difficulty: with ``sizes[i]`` samples, ``right[i]`` of them are answered right by ``choose[i]``.

    ``sizes`` rise; ``choose`` are aggregators as strategies write them.
    """

    sizes: tuple[int, ...]
    right: tuple[float, ...]
    choose: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.sizes) == len(self.right) == len(self.choose) > 0:
            raise ValueError("sizes, right and choose have one entry each per size")
        if self.sizes[0] < 1 or any(a >= b for a, b in zip(self.sizes, self.sizes[1:], strict=False)):
            raise ValueError("sizes rise from 1 or more")

    @cached_property
    def _hull(self) -> tuple[list[int], list[float]]:
        """The corners of the least concave curve above the points, from the first to the highest."""
        top = int(np.argmax(self.right))
        corners: list[int] = []
        for i in range(top + 1):
            while len(corners) > 1 and self._slope(corners[-2], corners[-1]) <= self._slope(corners[-1], i):
                corners.pop()
            corners.append(i)
        return [self.sizes[i] for i in corners], [self.right[i] for i in corners]

    def _slope(self, i: int, j: int) -> float:
        return (self.right[j] - self.right[i]) / (self.sizes[j] - self.sizes[i])

    def gain(self, n: int) -> float:
        """What the n-th sample adds; it does not rise with n, and is 0 beyond the best size."""
        before, after = np.interp([n - 1, n], *self._hull)
        return float(after - before)

    def chosen(self, n: int) -> str:
        """The aggregator for ``n`` samples: that of the largest size up to n."""
        return self.choose[max(bisect_right(self.sizes, n) - 1, 0)]


@dataclass(frozen=True)
class Policy(Brief):
    """The ``difficulty`` of a problem is told from its first ``probes`` samples, ``edges`` divide it into ``bins``.

    ``score`` is the score that difficulty and aggregators read; empty for none.
    """

    difficulty: str
    probes: int
    edges: tuple[float, ...]
    bins: tuple[Bin, ...]
    score: str = ""

    def __post_init__(self) -> None:
        difficulty_named(self.difficulty)
        if self.probes < 1 or len(self.bins) != len(self.edges) + 1 or list(self.edges) != sorted(self.edges):
            raise ValueError("it needs probes, rising edges, and one bin more than edges")
        if not all(map(math.isfinite, [*self.edges, *(right for each in self.bins for right in each.right)])):
            raise ValueError("its numbers are finite")

    def bin(self, prospect: Prospect) -> Bin:
        """The bin of a problem, by its probes."""
        n = self.probes
        probed = replace(prospect, votes=prospect.votes[:n], scores=prospect.scores[:n])
        return self.bins[bisect_right(self.edges, difficulty_named(self.difficulty)(probed))]

    @cached_property
    def aggregators(self) -> dict[str, Aggregator]:
        """All aggregators that the bins choose, by their text; ``UsageError`` for what is none."""
        return {text: aggregator_of(text) for each in self.bins for text in each.choose}

    def write(self, path: str | Path) -> None:
        """Write the policy to a JSON file."""
        with replacement(path) as file:
            file.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: str | Path) -> Policy:
        """The policy in a file; raises ``UsageError`` for a file that holds none."""
        file = regular_file(Path(path))
        if file.stat().st_size > _LARGEST:
            raise UsageError(f"{path} is no policy of `widthwise allocate --fit`: it is too large")
        try:
            policy = _policy(parse(file.read_bytes()))
            policy.aggregators  # noqa: B018  (checks them)
        except KeyError as error:
            raise UsageError(f"{path} is no policy of `widthwise allocate --fit`: it has no {error}") from None
        except (ValueError, TypeError) as error:
            raise UsageError(f"{path} is no policy of `widthwise allocate --fit`: {error}") from None
        return policy


def aggregator_of(text: str) -> Aggregator:
    """The aggregator that ``text`` writes, built in or installed; raises ``UsageError`` for anything else."""
    found = parse_strategy(f"single() | {text}", trusted=False)
    if found.aggregator is None or found.pruners or found.budget is not None:
        raise UsageError(f"{text!r} is no aggregator: write one, such as majority_vote()")
    return found.aggregator


def _policy(said: Any) -> Policy:
    bins = tuple(
        Bin(_all(int, each["sizes"]), _all(float, each["right"]), _all(str, each["choose"])) for each in said["bins"]
    )
    (probes,), (difficulty, score) = _all(int, [said["probes"]]), _all(str, [said["difficulty"], said["score"]])
    return Policy(difficulty, probes, _all(float, said["edges"]), bins, score)


def _all(kind: type, values: Sequence[Any]) -> tuple[Any, ...]:
    """Values of one kind; a whole number is a number, too."""
    kinds = (int, float) if kind is float else (kind,)
    if not isinstance(values, list) or any(isinstance(v, bool) or not isinstance(v, kinds) for v in values):
        raise TypeError(f"a list of values is not one of {kind.__name__}")
    return tuple(map(kind, values))
