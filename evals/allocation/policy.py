"""Policies: what problems of each difficulty go on with, how widely, and how their answers are chosen."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from widthwise.core.brief import Brief
from widthwise.core.errors import UsageError
from widthwise.core.plain_json import parse
from widthwise.core.session.thought_budget import thought_of
from widthwise.core.strategy.checking import inside
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.strategy.strategy import Aggregator, Strategy
from widthwise.evals.allocation.bin import Alternative, Bin
from widthwise.evals.allocation.difficulty import difficulty_named
from widthwise.evals.allocation.prospect import Prospect
from widthwise.evals.input_file import regular_file
from widthwise.evals.replacement import replacement

_LARGEST = 1 << 20
"""Bytes of a policy file at most."""

_MOST_PROBES = 1 << 20
_NO_POLICY = "is no policy of `widthwise allocate --fit-policy`"

_PARTS = 256
"""How many different aggregators and strategies a policy names at most."""


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
        if not 1 <= self.probes <= _MOST_PROBES or len(self.bins) != len(self.edges) + 1:
            raise ValueError("it needs probes, and one bin more than edges")
        if not all(map(math.isfinite, self.edges)) or list(self.edges) != sorted(self.edges):
            raise ValueError("its edges are finite, and rise")

    def bin(self, prospect: Prospect) -> Bin:
        """The bin of a problem, by its probes."""
        n = self.probes
        probed = replace(prospect, votes=prospect.votes[:n], scores=prospect.scores[:n])
        return self.bins[bisect_right(self.edges, difficulty_named(self.difficulty)(probed))]

    @cached_property
    def aggregators(self) -> dict[str, Aggregator]:
        """All aggregators that the bins choose, by their text; ``UsageError`` for what is none."""
        return {text: aggregator_of(text) for text in dict.fromkeys(text for each in self.bins for text in each.choose)}

    @cached_property
    def strategies(self) -> dict[str, Strategy]:
        """All alternatives of the bins, by their text; ``UsageError`` for what is no strategy that can be one."""
        named = (alternative.strategy for each in self.bins for alternative in each.alternatives)
        return {text: alternative_of(text) for text in dict.fromkeys(named)}

    def check(self) -> None:
        """Read all that it names; raises ``UsageError`` or ``ValueError`` for what cannot be read, or is too much."""
        named = {text for each in self.bins for text in (*each.choose, *(a.strategy for a in each.alternatives))}
        if len(named) > _PARTS:
            raise ValueError(f"it names more than {_PARTS} aggregators and strategies")
        _ = self.aggregators, self.strategies

    def write(self, path: str | Path) -> None:
        """Write the policy to a JSON file."""
        with replacement(path) as file:
            file.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: str | Path) -> Policy:
        """The policy in a file; raises ``UsageError`` for a file that holds none."""
        file = regular_file(Path(path))
        if file.stat().st_size > _LARGEST:
            raise UsageError(f"{path} {_NO_POLICY}: it is too large")
        try:
            policy = _policy(parse(file.read_bytes()))
            policy.check()
        except KeyError as error:
            raise UsageError(f"{path} {_NO_POLICY}: it has no {error}") from None
        except (UsageError, ValueError, TypeError) as error:
            raise UsageError(f"{path} {_NO_POLICY}: {error}") from None
        return policy


def aggregator_of(text: str) -> Aggregator:
    """The aggregator that ``text`` writes, built in or installed; raises ``UsageError`` for anything else."""
    found = parse_strategy(f"single() | {text}", trusted=False)
    if found.aggregator is None or found.pruners or found.budget is not None:
        raise UsageError(f"{text!r} is no aggregator: write one, such as majority_vote()")
    return found.aggregator


def alternative_of(text: str) -> Strategy:
    """The strategy that ``text`` writes, of built-in or installed parts.

    Raises ``UsageError`` for anything else, and for a strategy that cannot work for a suite budget.
    """
    found = parse_strategy(text, trusted=False)
    if found.budget is not None:
        raise UsageError(f"{found.brief()} has a budget of its own: what it may spend is its share of the suite budget")
    if any(thought is not None and not thought.leaves_out for thought in map(thought_of, inside(found))):
        raise UsageError(
            f"{found.brief()} limits its thinking, and a policy's strategies go on from the prompt of the samples: "
            "leave thinking out"
        )
    return found


def _policy(said: Any) -> Policy:
    bins = tuple(map(_bin, _list(_object(said)["bins"])))
    (probes,), (difficulty, score) = _all(int, [said["probes"]]), _all(str, [said["difficulty"], said["score"]])
    return Policy(difficulty, probes, _all(float, said["edges"]), bins, score)


def _bin(said: Any) -> Bin:
    alternatives = tuple(map(_alternative, _list(_object(said).get("alternatives", []))))
    return Bin(_all(int, said["sizes"]), _all(float, said["right"]), _all(str, said["choose"]), alternatives)


def _alternative(said: Any) -> Alternative:
    (strategy,), (samples, right) = (
        _all(str, [_object(said)["strategy"]]),
        _all(float, [said["samples"], said["right"]]),
    )
    return Alternative(strategy, samples, right)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r:.40} is no object with names")
    return value


def _list(values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise TypeError(f"{values!r:.40} is no list")
    return values


def _all(kind: type, values: Any) -> tuple[Any, ...]:
    """Values of one kind; a whole number is a number, too."""
    kinds = (int, float) if kind is float else (kind,)
    if any(isinstance(v, bool) or not isinstance(v, kinds) for v in _list(values)):
        raise TypeError(f"a list of values is not one of {kind.__name__}")
    return tuple(map(kind, values))
