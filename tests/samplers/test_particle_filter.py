"""Particle filtering against an independent filter written from its description."""

from __future__ import annotations

import bisect
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.samplers.steps import Rewards, searching
from tests.samplers.test_search_as_released import Policy, last, score
from widthwise import ParticleFilter


@dataclass(eq=False)
class Place:
    """A prefix that particles share; prefixes that were written separately are separate places."""

    text: str = ""
    asked: int = 0

    @property
    def ended(self) -> bool:
        return self.text != "" and not self.text.endswith("\n\n")


def multinomial(weights: np.ndarray[Any, Any], count: int, chance: np.random.Generator) -> list[int]:
    """How many of so many points in [0, 1) fall on each weight's stretch."""
    ends = list(itertools.accumulate(weights / weights.sum()))
    drawn = Counter(min(bisect.bisect_right(ends, point), len(ends) - 1) for point in chance.random(count))
    return [drawn[place] for place in range(len(ends))]


def filtered(policy: Policy, n: int, chances: Callable[[int], np.random.Generator]) -> Counter[str]:
    """n prefixes: each unfinished one grows by a step, then n are drawn by the odds of all their scores."""
    particles, number = [Place()] * n, 0
    while not all(place.ended for place in particles):
        number += 1
        counts = Counter(place for place in particles if place.ended)
        for place in particles:
            if not place.ended:
                counts[Place(place.text + policy(place.text, place.asked))] = 1
                place.asked += 1
        odds = np.array([min(max(last(place.text), 1e-7), 1 - 1e-7) for place in counts])
        weights = np.array(list(counts.values())) * odds / (1 - odds)
        drawn = multinomial(weights, n, chances(number))
        particles = [place for place, k in zip(counts, drawn, strict=True) for _ in range(k)]
    return Counter(place.text for place in particles)


@pytest.mark.parametrize("seed", range(12))
async def test_as_its_description_says(seed: int) -> None:
    s = searching(Policy(seed), Rewards(score))
    traces = await ParticleFilter(n=6)(s)
    found = Counter[str]()
    for trace in traces:
        found[trace.completion.rstrip("\0")] += trace.metadata["particles"]
    assert found.total() == 6
    assert found == filtered(Policy(seed), 6, lambda number: np.random.default_rng(s.seed("resample", number)))
    assert s._shared.accounts.residency.resident == 0


async def test_with_a_threshold_equal_weights_are_not_drawn_anew() -> None:
    s = searching(Policy(3), Rewards(lambda step: 0.5))
    traces = await ParticleFilter(n=6, threshold=0.5)(s)
    assert [trace.metadata["particles"] for trace in traces] == [1] * len(traces)
    assert len(traces) == 6


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ParticleFilter(scheme="even"), "scheme"),  # type: ignore[arg-type]
        (lambda: ParticleFilter(link="probit"), "link"),  # type: ignore[arg-type]
        (lambda: ParticleFilter(threshold=2.0), "threshold"),
        (lambda: ParticleFilter(refill=True), "refill"),
    ],
)
def test_wrong_arguments(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
