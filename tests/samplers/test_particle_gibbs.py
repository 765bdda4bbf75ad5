"""Particle Gibbs against an independent list of particles that is copied and cut, as its description says."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.samplers.steps import Rewards, by_table, searching
from tests.samplers.test_particle_filter import multinomial
from tests.samplers.test_search_as_released import Policy, last, score
from widthwise import ParticleGibbs
from widthwise.core.session.limits import Limits
from widthwise.core.strategy.strategy import Strategy
from widthwise.samplers.particle_gibbs import GibbsTree
from widthwise.samplers.tree_search import expand

Chance = Callable[..., np.random.Generator]


@dataclass(eq=False)
class Place:
    """A prefix in the tree; ``asked`` counts its children."""

    text: str = ""
    above: tuple[Place, ...] = ()
    id: tuple[int, ...] = ()
    asked: int = 0

    def grown(self, policy: Policy) -> Place:
        self.asked += 1
        said = self.text + policy(self.text, self.asked - 1)
        return Place(said, (*self.above, self), (*self.id, self.asked - 1))

    @property
    def ended(self) -> bool:
        return self.text != "" and not self.text.endswith("\n\n")

    def after(self, steps: int) -> Place:
        path = (*self.above, self)
        return path[min(steps, len(path) - 1)]


def odds(place: Place) -> float:
    inside = min(max(last(place.text), 1e-7), 1 - 1e-7)
    return inside / (1 - inside)


def iterated(policy: Policy, n: int, iterations: int, references: int, chance: Chance) -> Counter[str]:
    root, kept, rounds = Place(), list[Place](), itertools.count(1)
    for iteration in range(1, iterations + 1):
        free, step = [root] * (n - len(kept)), 0
        while not all(place.ended for place in free):
            step += 1
            done = [place for place in free if place.ended]
            grown = sorted((p.grown(policy) for p in free if not p.ended), key=lambda place: place.id)
            # The order of the candidates is that of the draw: ended ones, new ones, then prefixes of the references.
            counts = Counter([*done, *grown, *(end.after(step) for end in kept)])
            weights = np.array([k * odds(place) for place, k in counts.items()])
            drawn = multinomial(weights, n - len(kept), chance("resample", next(rounds)))
            free = [place for place, k in zip(counts, drawn, strict=True) for _ in range(k)]
        particles = Counter([*free, *kept])
        if iteration < iterations:
            every = [place for place, k in particles.items() for _ in range(k)]
            weights = np.array([odds(place) for place in every])
            picked = chance("references", iteration).choice(len(every), references, p=weights / weights.sum())
            kept = [every[i] for i in picked]
    return Counter(place.text for place in particles.elements())


@pytest.mark.parametrize("references", [1, 2])
@pytest.mark.parametrize("seed", range(12))
async def test_as_its_description_says(seed: int, references: int) -> None:
    s = searching(Policy(seed), Rewards(score))
    traces = await ParticleGibbs(n=6, iterations=3, references=references)(s)
    found = Counter[str]()
    for trace in traces:
        found[trace.completion.rstrip("\0")] += trace.metadata["particles"]
    assert found.total() == 6
    assert found == iterated(Policy(seed), 6, 3, references, lambda *place: np.random.default_rng(s.seed(*place)))
    assert s._shared.accounts.residency.resident == 0


async def test_one_iteration_has_as_many_particles_and_no_reference() -> None:
    s = searching(Policy(1), Rewards(score))
    traces = await ParticleGibbs(n=5, iterations=1)(s)
    assert sum(trace.metadata["particles"] for trace in traces) == 5


WORTH = {"good": 0.9, "poor": 0.2, "right": 1 - 1e-9, "wrong": 0.1}


async def test_a_reference_is_never_lost() -> None:
    """The only right answer follows a poor step, from which no other particle would go on."""
    table = {"": ["poor\n\n", "good\n\n", "good\n\n"], "poor": ["right"], "good": ["wrong"]}
    sampler = ParticleGibbs(n=3, iterations=2)
    s = searching(by_table(table), Rewards(lambda step: WORTH[step.strip().strip("\0")]))
    tree = sampler.trees(s.root)[0]
    assert isinstance(tree, GibbsTree)
    [first] = [nodes[0] for nodes in await expand(s, [tree], sampler)]
    tree.plan = [(first, 1)]
    [[right]] = await expand(s, [tree], sampler)
    await sampler.score(s, [first, right])
    tree.iteration, tree.references, tree.plan = 2, [right], [(tree.nodes[0], 2)]
    while tree.plan:
        await sampler.round(s, [tree])
    assert right.state == "finished"
    assert right.trace.metadata["particles"] >= 1


async def test_every_token_is_accounted_for() -> None:
    s = searching(Policy(4), Rewards(score))
    result = await Strategy(ParticleGibbs(n=6, iterations=3)).run(s)
    sampled = [t for t in s.traces.values() if t.segment.origin == "sampled"]
    useful = {above.id for t in result.traces if t.finish in ("stop", "length") for above in t.lineage}
    assert result.ledger.sampled == sum(len(t.segment) for t in sampled)
    assert result.ledger.discarded == sum(len(t.segment) for t in sampled if t.id not in useful)


async def test_a_budget_ends_it_and_what_there_is_comes_out() -> None:
    s = searching(Policy(4), Rewards(score), budget=Limits(samples=20))
    result = await Strategy(ParticleGibbs(n=6, iterations=30)).run(s)
    assert result.ledger.samples == 20
    assert s._shared.accounts.residency.resident == 0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ParticleGibbs(iterations=0), "iterations"),
        (lambda: ParticleGibbs(n=4, references=4), "references"),
        (lambda: ParticleGibbs(references=0), "references"),
        (lambda: ParticleGibbs(threshold=0.5), "threshold"),
    ],
)
def test_wrong_arguments(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
