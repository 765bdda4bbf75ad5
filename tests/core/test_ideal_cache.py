"""What a perfect prefix cache has to compute: each text once, whichever conversation it is in."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.scripted import PlainGrader
from tests.samplers.talker import FORMAT, Talker
from widthwise import Revisions, SequentialRefinement
from widthwise.backends.embedded.backend import EmbeddedBackend
from widthwise.core.backend import SamplingParams
from widthwise.core.model_shape import ModelShape
from widthwise.core.problem import Problem
from widthwise.core.session.ideal_cache import IdealCache
from widthwise.core.session.limits import Limits
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.session import Session
from widthwise.core.session.setting import Setting
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.strategy.strategy import Strategy
from widthwise.core.trace.trace import Segment, Trace
from widthwise.models.formats import GENERIC
from widthwise.opening import bundled_models

SHAPE = ModelShape(1000, 10, 7)
RUNS = st.lists(st.integers(0, 1), max_size=6)


def trace(id: tuple[int, ...], tokens: list[int], parent: Trace | None = None) -> Trace:
    return Trace(id, Segment("sampled", np.array(tokens, np.int64), ""), parent)


@given(st.data())
def test_what_it_knows_is_the_longest_beginning_that_was_added(data: st.DataObject) -> None:
    cache, known, prefixes = IdealCache(), list[Trace](), {()}
    for number in range(data.draw(st.integers(1, 15))):
        parent = data.draw(st.sampled_from([None, *known]))
        known.append(trace((number,), data.draw(RUNS), parent))
        ids = tuple(known[-1].token_ids.tolist())
        longest = max(end for end in range(len(ids) + 1) if ids[:end] in prefixes)
        assert cache.known(known[-1]) == (longest, len(ids))
        if data.draw(st.booleans()):
            cache.add(known[-1])
            prefixes |= {ids[:end] for end in range(len(ids) + 1)}


# -- what a limit buys of strategies that ask several prompts ---------------------------------------------------------


def talking(**options: Any) -> Session:
    """A model that says something longer or shorter to each prompt, in prompts that begin alike."""
    backend = Talker(lambda prompt, index: "x" * (3 + 7 * len(prompt) % 11) + f" = {index}")
    setting = Setting(Scheduler(backend), PlainGrader(), FORMAT, params=SamplingParams(), shape=SHAPE)
    return Session(Problem("p1", "what is the sum of one and one?", "2"), setting, **options)


def by_rule(traces: Sequence[Trace], limit: float) -> tuple[int, int, int]:
    """How many of ``traces`` begin, how many reach their ends, and what is spent, with a set of all prefixes."""
    cached: set[tuple[int, ...]] = set()
    spent, costs, whole = 0, list[int](), 0
    for one in traces:
        assert one.parent is not None
        prompt, ids = one.parent.token_ids.tolist(), one.token_ids.tolist()
        new = [end for end in range(len(prompt)) if tuple(prompt[: end + 1]) not in cached]
        reading = sum(SHAPE.read(position, 1) for position in new)
        least = max(SHAPE.sampled(len(prompt), 1), np.median(costs) if costs else 0)
        if spent + reading + least > limit:
            break
        costs.append(SHAPE.sampled(len(prompt), one.tokens))
        spent += reading + costs[-1]
        cached |= {tuple(ids[: end + 1]) for end in range(len(ids))}
        if spent > limit:
            break
        whole += 1
    return len(costs), whole, spent


@pytest.mark.parametrize("sampler", [Revisions(6, 6.0), Revisions(6, 1.5), SequentialRefinement(4, 2, keep="all")])
async def test_chains_of_prompts_get_as_many_attempts_as_the_rule_says(sampler: Any) -> None:
    free = talking()
    await Strategy(sampler).run(free)
    told = sorted(free.leaves, key=lambda t: t.parent.sequential if t.parent else 0)
    everything = by_rule(told, float("inf"))[2]
    assert free._shared.accounts._ideal_flops == everything <= free.ledger.flops  # this backend has no cache
    chance = random.Random(0)
    for _ in range(25):
        limit = chance.randrange(50_000, everything + 10_000)
        s = talking(budget=Limits(flops=limit))
        await Strategy(sampler).run(s)
        begun, whole, _ = by_rule(told, limit)
        assert len(s.leaves) == s.ledger.samples == begun
        assert sorted(t.finish or "" for t in s.leaves) == ["budget"] * (begun - whole) + ["stop"] * whole


async def test_a_prompt_that_does_not_begin_is_not_charged() -> None:
    one = talking()
    await one.sample(one.root)
    asked = len(one.root.token_ids)
    s = talking(budget=Limits(flops=one._shared.accounts._ideal_flops))
    other = s.ask("refine", drafts="a draft")
    traces = await s.sample([s.root, other])
    assert [t.finish for t in traces] == ["stop"]
    assert s.ledger.prompt_ideal == asked


@pytest.mark.parametrize(
    "strategy",
    [
        "revisions(n=4, ratio=4.0)",
        "parallel_distill_refine(drafts=(3, 2))",
        "recursive_self_aggregation(population=3, group=2, loops=2)",
        "best_of_n(n=3) | universal_self_consistency()",
        "beam_search(n=4, beam_width=2, by='mean_logprob', max_depth=3)",
    ],
)
async def test_it_computes_no_more_than_the_cache_of_an_engine(strategy: str) -> None:
    backend = EmbeddedBackend(bundled_models()["reasoner"])
    shape = ModelShape.of_config(backend.facts.config)
    setting = Setting(Scheduler(backend), PlainGrader(), GENERIC, params=SamplingParams(max_tokens=30), shape=shape)
    session = parse_strategy(strategy).open(Problem("p1", "Use the numbers 12, 7, 3 to reach 22.", "2"), setting)
    ledger = (await parse_strategy(strategy).run(session)).ledger
    assert ledger.prompt_ideal <= ledger.prompt_computed
    assert session._shared.accounts._ideal_flops <= ledger.flops
    assert ledger.prompt_ideal >= len(session.root.token_ids)
