"""Branching at uncertain tokens, against a plain loop over the steps of the released code."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.core.scripted import session
from tests.evals.recount import recounted_ends
from tests.samplers.steps import Steps
from widthwise import EntropyGatedBranching
from widthwise.core.backend import Delta, Request, TokenStats
from widthwise.core.problem import Problem
from widthwise.core.rewards.reward import StepScores
from widthwise.core.session.limits import Limits
from widthwise.core.session.session import Session
from widthwise.core.strategy.strategy import Strategy

BOTH = pytest.mark.parametrize("deterministic", [True, False])
CERTAIN, UNCERTAIN = np.log([1.0, 1e-9]), np.log([0.5, 0.5])


class Undecided(Steps):
    """At capital letters both tokens are equally likely: log 2 nats."""

    def __init__(self, write: Callable[[str, int], str], *, deterministic: bool = True) -> None:
        super().__init__(write, deterministic=deterministic)
        self.capabilities = replace(self.capabilities, max_logprobs=2)

    async def generate(self, request: Request) -> AsyncIterator[Delta]:
        assert request.params.logprobs == 2
        async for delta in super().generate(request):
            top = np.array([UNCERTAIN if chr(t).isupper() else CERTAIN for t in delta.token_ids.tolist()], np.float32)
            top = top.reshape(-1, 2)
            yield replace(delta, stats=TokenStats(top[:, 0], np.zeros(top.shape, np.int64), top))


class Hashed:
    """A score for every text, as if by chance."""

    name = "hashed"
    kind = "process"

    async def score(self, problem: Problem, solutions: Any) -> list[StepScores]:
        return [StepScores(tuple(_score("".join(s.steps[: i + 1])) for i in range(len(s.steps)))) for s in solutions]


def _score(text: str) -> float:
    return random.Random("".join(text.split()).rstrip("\0")).random()


def by_chance(seed: int) -> Callable[[str, int], str]:
    """The rest of a step after a text, as if by chance; now and then the last."""

    def write(said: str, index: int) -> str:
        chance = random.Random(f"{seed} {said!r} {index}")
        word = "".join(chance.choice("abcdeX") for _ in range(chance.randint(1, 5)))
        return word + (f" = {chance.randint(0, 3)}" if chance.random() < 0.3 else "\n\n")

    return write


def searching(write: Callable[[str, int], str], sampler: EntropyGatedBranching, **options: Any) -> Session:
    deterministic = options.pop("deterministic", True)
    s = session(Undecided(write, deterministic=deterministic), reward_model=Hashed(), **options)
    s.heed(sampler)
    return s


def plain(write: Callable[[str, int], str], n: int, branches: int, rounds: int) -> list[str]:
    """The released loop: its finished texts, in order of their completion and of their score."""
    beams, done = [""], list[str]()
    for number in range(rounds):
        candidates = []
        for beam in beams:
            if number == 0:
                candidates += [write("", i) for i in range(n)]
                continue
            draft = write(beam, 0)
            spots = [i for i, letter in enumerate(draft) if letter.isupper()]
            if spots:
                begun = beam + draft[: spots[0]]
                candidates += [begun + write(begun, i) for i in range(branches)]
            else:
                candidates.append(beam + draft)
        done += [text for text in candidates if not text.endswith("\n\n")]
        going_on = [text for text in candidates if text.endswith("\n\n")]
        beams = sorted(going_on, key=_score, reverse=True)[:n]
        if len(done) >= n or not beams:
            break
    return sorted(done)


@BOTH
@pytest.mark.parametrize("seed", range(25))
async def test_searches_as_the_released_loop_does(seed: int, deterministic: bool) -> None:
    n, branches = random.Random(seed).choice([(2, 2), (3, 4), (4, 3), (1, 5)])
    write, sampler = by_chance(seed), EntropyGatedBranching(n, branches=branches, threshold=0.5, k=2)
    s = searching(write, sampler, deterministic=deterministic)
    traces = await sampler(s)
    assert sorted(trace.completion.rstrip("\0") for trace in traces) == plain(write, n, branches, 40)


@pytest.mark.parametrize("seed", range(10))
async def test_every_token_is_accounted_for(seed: int) -> None:
    sampler = EntropyGatedBranching(3, branches=3, threshold=0.5, k=2)
    result = await Strategy(sampler).run(s := searching(by_chance(seed), sampler))
    sampled = [t for t in s.traces.values() if t.segment.origin == "sampled"]
    assert result.ledger.sampled == sum(len(t.segment) for t in sampled)
    useful = {above.id for t in result.traces if t.finish in ("stop", "length") for above in t.lineage}
    assert result.ledger.discarded == sum(len(t.segment) for t in sampled if t.id not in useful)
    assert result.ledger.samples == len(sampled)
    assert {place: trace.sequential for place, trace in s.traces.items()} == recounted_ends(s.traces)
    assert s._shared.accounts.residency.resident == 0


async def test_a_step_is_drawn_again_from_its_first_uncertain_token_with_the_same_tokens_before_it() -> None:
    steps = {"": "a\n\n", "a\n\n": "bcXdY\n\n", "a\n\nbc": "e = 1"}
    sampler = EntropyGatedBranching(1, branches=2, threshold=0.5, k=2)
    s = searching(lambda said, index: steps[said], sampler)
    traces = await sampler(s)
    assert [t.completion for t in traces] == ["a\n\nbce = 1\0"] * 2
    [draft] = s.fragments
    assert draft.finish == "pruned"
    assert draft.segment.reason == "round 2: drawn again after 2 tokens (entropy 0.69)"
    assert [t.segment.origin for t in traces[0].lineage] == ["sampled", "inserted", "sampled", "prompt"]
    assert s.ledger.discarded == len("bcXdY\n\n")


@pytest.mark.parametrize(("threshold", "drawn"), [(0.69, 1), (0.70, 0)])
async def test_the_threshold_is_in_nats(threshold: float, drawn: int) -> None:
    steps = {"": "a\n\n", "a\n\n": "bX = 1", "a\n\nb": "c = 1"}
    sampler = EntropyGatedBranching(1, threshold=threshold, k=2)
    await sampler(s := searching(lambda said, index: steps[said], sampler))
    assert len(s.fragments) == drawn


async def test_first_and_last_steps_do_not_branch() -> None:
    steps = {"": "X\n\n", "X\n\n": "Y = 1"}
    sampler = EntropyGatedBranching(1, threshold=0.5, k=2, max_depth=2)
    traces = await sampler(s := searching(lambda said, index: steps[said], sampler))
    assert [t.completion for t in traces] == ["X\n\nY = 1\0"]
    assert not s.fragments


async def test_a_step_without_log_probabilities_is_taken_as_it_is_and_that_is_noted() -> None:
    class Silent(Undecided):
        async def generate(self, request: Request) -> AsyncIterator[Delta]:
            async for delta in super().generate(request):
                assert delta.stats is not None
                yield replace(delta, stats=TokenStats(delta.stats.logprobs))

    steps = {"": "a\n\n", "a\n\n": "bX = 1"}
    sampler = EntropyGatedBranching(1, threshold=0.5, k=2)
    s = session(Silent(lambda said, index: steps[said]), reward_model=Hashed())
    s.heed(sampler)
    assert [t.completion for t in await sampler(s)] == ["a\n\nbX = 1\0"]
    without = "without the log-probabilities of their 2 most likely tokens, and cannot branch"
    assert [note.text for note in s.notes] == [f"1 of 1 step of a round came {without}"] * 2


async def test_a_budget_ends_the_search() -> None:
    sampler = EntropyGatedBranching(4, branches=4, threshold=0.5, k=2)
    s = searching(by_chance(3), sampler, budget=Limits(samples=9))
    result = await Strategy(sampler).run(s)
    assert result.ledger.samples == 9
    assert s._shared.accounts.residency.resident == 0


@pytest.mark.parametrize("wrong", [{"branches": 0}, {"threshold": -1.0}, {"threshold": float("nan")}, {"k": 0}])
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"branches|threshold"):
        EntropyGatedBranching(**wrong)
