"""Entropic annealing against its rule written anew, and what a step leads to as part of its weight."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from tests.samplers.steps import Rewards, by_table, searching
from tests.samplers.test_search_as_released import Policy, score
from widthwise import EntropicParticleFilter, ParticleFilter
from widthwise.pruning.annealing import temperature
from widthwise.samplers.particle_filter import ParticleFilter as Plain
from widthwise.samplers.tree_search import expand


def softened(logits: list[float], step: int, most: int, rule: str, collapsed: float, early: float) -> list[float]:
    """The probabilities of the released code, one particle at a time."""
    plain = [math.exp(x - max(logits)) for x in logits]
    plain = [p / sum(plain) for p in plain]
    ratio, progress, heat = 1 / sum(p * p for p in plain) / len(plain), step / most, 1.0
    if ratio < collapsed and progress < early:
        if rule == "ess":
            heat = max(1.0, 1 / ratio * (1 - progress))
        else:
            spread = -sum(p * math.log(p) for p in (max(p, 1e-7) for p in plain)) / math.log(len(plain))
            heat = max(1.0, 1 / (spread + (1 - spread) * progress))
    soft = [math.exp((x - max(logits)) / heat) for x in logits]
    return [p / sum(soft) for p in soft]


@pytest.mark.parametrize("rule", ["ess", "entropy"])
@pytest.mark.parametrize("seed", range(20))
def test_weights_as_the_released_code_has_them(seed: int, rule: Any) -> None:
    chance = random.Random(seed)
    logits = [chance.gauss(0, 4) for _ in range(chance.randint(3, 12))]
    step, collapsed, early = chance.randint(1, 12), chance.random(), chance.random()
    sampler = EntropicParticleFilter(max_depth=12, annealing=rule, collapsed=collapsed, early=early)
    expected = softened(logits, step, 12, rule, collapsed, early)
    assert sampler.weights(np.array(logits), step) == pytest.approx(expected)


def test_a_worked_example() -> None:
    """Four particles, one with 0.97 of the weight: ESS is 1.06, so the temperature is 4 / 1.06 * 0.75 = 2.82."""
    weights = np.array([0.97, 0.01, 0.01, 0.01])
    assert temperature(weights, 0.25) == pytest.approx(4 * (0.97**2 + 3 * 0.01**2) * 0.75)
    assert temperature(np.full(4, 0.25), 0.25) == 1.0
    assert temperature(np.array([1.0]), 0.0) == 1.0


async def test_annealing_keeps_more_of_what_a_sure_model_would_drop() -> None:
    """Distinct steps that survive the first resampling, over many seeds."""
    left = {}
    for kind in (ParticleFilter, EntropicParticleFilter):
        kept = 0
        for seed in range(10):
            s = searching(Policy(seed), Rewards(lambda step: 0.999 if score(step) > 0.7 else 0.01))
            sampler: Plain = kind(n=8, scheme="systematic")
            tree = sampler.trees(s.root)[0]
            await sampler.round(s, [tree])
            kept += len([node for node in tree.nodes[1:] if node.state != "pruned"])
        left[kind] = kept
    assert left[EntropicParticleFilter] > left[ParticleFilter]


async def test_a_step_is_weighed_with_what_follows_it() -> None:
    table = {"": ["good\n\n", "fair\n\n"], "good": ["poor = 2"], "fair": ["good = 1"]}
    worth = {"good": 0.9, "fair": 0.6, "poor = 2": 0.1, "good = 1": 0.8}
    s = searching(by_table(table), Rewards(lambda step: worth[step.strip().strip("\0")]))
    sampler = EntropicParticleFilter(n=2, lookahead=1)
    [nodes] = await expand(s, sampler.trees(s.root), sampler)
    await sampler.score(s, nodes)
    found = await sampler.potentials(s, nodes)
    logit = {name: math.log(value / (1 - value)) for name, value in worth.items()}
    assert found == pytest.approx([logit["good"] + logit["poor = 2"], logit["fair"] + logit["good = 1"]])
    assert [node.score for node in nodes] == [0.9, 0.6]
    assert len(s.fragments) == 2  # charged, but no samples


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: EntropicParticleFilter(annealing="heat"), "annealing"),  # type: ignore[arg-type]
        (lambda: EntropicParticleFilter(early=2.0), "early"),
        (lambda: EntropicParticleFilter(lookahead=-1), "lookahead"),
    ],
)
def test_wrong_arguments(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
