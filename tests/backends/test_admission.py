"""Admission to the embedded engine: nothing is computed twice for lack of memory, nothing waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.backends.llama_checkpoint import Shape, write_checkpoint
from widthwise.backends.embedded.admission import Admission
from widthwise.backends.embedded.backend import EmbeddedBackend
from widthwise.backends.embedded.token_sequence import TokenSequence
from widthwise.core.backend import Delta, Request, SamplingParams

SHAPE = Shape(max_len=320)
TOKEN_BYTES = SHAPE.layers * 2 * SHAPE.kv_heads * SHAPE.head_dim * 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("llama"), SHAPE)


def roomy_for(folder: Path, tokens: int) -> tuple[EmbeddedBackend, list[int]]:
    """A backend whose keys and values may take that many tokens, and how many rows each of its steps computes."""
    backend, rows = EmbeddedBackend(folder, kv_cache_bytes=tokens * TOKEN_BYTES), []
    backend.tokenizer.eos_ids = frozenset()  # type: ignore[misc]
    forward = backend._engine.model.forward

    def counted(tokens: Any, *rest: Any) -> Any:
        rows.append(len(tokens))
        return forward(tokens, *rest)

    backend._engine.model.forward = counted  # type: ignore[method-assign]
    return backend, rows


def alive(backend: EmbeddedBackend) -> int:
    return sum(len(problem.alive) for problem in backend._engine._admission._problems.values())


def request(problem: int, sample: int, n: int | None = None) -> Request:
    prompt = np.random.default_rng(problem).integers(3, 300, 40)
    return Request(prompt, SamplingParams(max_tokens=n), seed=sample, priority=problem)


async def in_lockstep(backend: EmbeddedBackend, requests: Sequence[Request], lengths: Sequence[int]) -> list[list[int]]:
    """Tokens of streams that all get their next delta before any gets another; each is left at its length."""
    streams: list[AsyncIterator[Delta]] = [backend.generate(each) for each in requests]
    tokens: list[list[int]] = [[] for _ in requests]
    while live := [i for i, n in enumerate(lengths) if len(tokens[i]) < n]:
        for i, delta in zip(live, await asyncio.gather(*(anext(streams[i]) for i in live)), strict=True):
            tokens[i] += delta.token_ids.tolist()
    for stream in streams:
        await stream.aclose()  # type: ignore[attr-defined]
    return [ids[:n] for ids, n in zip(tokens, lengths, strict=True)]


def lengths_of(problem: int, samples: int) -> list[int]:
    return np.random.default_rng([problem, 1]).integers(20, 150, samples).tolist()


async def all_at_once(backend: EmbeddedBackend, problems: int, samples: int) -> tuple[list[list[list[int]]], list[int]]:
    """Tokens by problem and sample, and the problems in the order in which they finished."""
    finished: list[int] = []

    async def solved(problem: int) -> list[list[int]]:
        asked = [request(problem, sample) for sample in range(samples)]
        tokens = await in_lockstep(backend, asked, lengths_of(problem, samples))
        finished.append(problem)
        return tokens

    done = await asyncio.wait_for(asyncio.gather(*(solved(problem) for problem in range(problems))), 600)
    return list(done), finished


async def test_problems_in_lockstep_that_do_not_all_fit_are_not_computed_again(folder: Path) -> None:
    problems, samples = 8, 12
    backend, rows = roomy_for(folder, 24 * 192)
    done, finished = await all_at_once(backend, problems, samples)
    assert all(abs(place - problem) <= 2 for place, problem in enumerate(finished))
    sampled = sum(len(ids) for tokens in done for ids in tokens)
    assert sum(rows) < 1.25 * sampled  # the rest: prompts, and tokens sampled beyond an end
    assert backend._engine.working_bytes == 0
    for problem in (0, 5, 7):
        alone, _ = roomy_for(folder, 10**5)
        asked = [request(problem, sample) for sample in range(samples)]
        assert await in_lockstep(alone, asked, lengths_of(problem, samples)) == done[problem]


async def searched(backend: EmbeddedBackend, problem: int) -> tuple[list[list[int]], int]:
    """The paths of a search by rounds with a pause after each, and how many tokens of their prompts were computed."""
    paths, computed = [np.random.default_rng(problem).integers(3, 300, 100)] * 4, 0
    for turn in range(4):
        asked = [replace(request(problem, 10 * turn + i, 16), prompt=path) for i, path in enumerate(paths)]
        done = await asyncio.gather(*(collect(backend, one) for one in asked))
        paths = [np.concatenate([p, *(d.token_ids for d in ds)]) for p, ds in zip(paths, done, strict=True)]
        computed += sum(d.usage.prompt_computed for ds in done for d in ds if d.usage is not None)
        for _ in range(8):  # turns in which the steps would be scored
            await asyncio.sleep(0)
    return [path.tolist() for path in paths], computed


async def collect(backend: EmbeddedBackend, asked: Request) -> list[Delta]:
    return [delta async for delta in backend.generate(asked)]


async def all_searched(folder: Path, concurrency: int) -> tuple[list[list[list[int]]], int]:
    """Paths by problem, and how many tokens of their prompts were computed, with memory for a few problems."""
    backend, _ = roomy_for(folder, 12 * 192)
    slots = asyncio.Semaphore(concurrency)

    async def solved(problem: int) -> tuple[list[list[int]], int]:
        async with slots:
            return await searched(backend, problem)

    done = await asyncio.wait_for(asyncio.gather(*map(solved, range(16))), 600)
    return [paths for paths, _ in done], sum(computed for _, computed in done)


async def test_younger_problems_do_not_evict_what_a_search_continues(folder: Path) -> None:
    few, computed = await all_searched(folder, concurrency=2)
    many, crowded = await all_searched(folder, concurrency=16)
    assert many == few
    assert crowded < 6 * computed  # 12 times as many if younger ones begin between two rounds


@pytest.mark.parametrize("tokens", [320, 700, 2000])
async def test_branches_of_one_draw_that_do_not_all_fit_wait_for_each_other_and_end(folder: Path, tokens: int) -> None:
    backend, _ = roomy_for(folder, tokens)
    asked, lengths = [request(0, sample) for sample in range(20)], [40] * 20
    done = await asyncio.wait_for(in_lockstep(backend, asked, lengths), 600)
    roomy, _ = roomy_for(folder, 10**5)
    assert done == await in_lockstep(roomy, asked, lengths)


async def test_streams_that_nobody_reads_on_do_not_stop_others(folder: Path) -> None:
    backend, _ = roomy_for(folder, 400)
    held = [backend.generate(request(0, sample)) for sample in range(6)]
    for stream in held:
        await anext(stream)

    async def ended(sample: int) -> list[Delta]:
        return [delta async for delta in backend.generate(request(1, sample, 60))]

    done = await asyncio.wait_for(asyncio.gather(*(ended(sample) for sample in range(6))), 600)
    assert all(deltas[-1].finish == "length" for deltas in done)
    for stream in held:
        await stream.aclose()  # type: ignore[attr-defined]
    assert not alive(backend)


async def test_what_leaves_gives_its_memory_to_those_that_wait(folder: Path) -> None:
    backend, _ = roomy_for(folder, 400)

    async def begun(problem: int) -> None:
        async with aclosing(backend.generate(request(problem, 0))) as stream:  # type: ignore[type-var]
            async for _ in stream:
                pass

    first, second = asyncio.create_task(begun(0)), asyncio.create_task(begun(1))
    while not backend._engine._row_of:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert alive(backend) == 2
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await asyncio.wait_for(second, 600)
    assert not alive(backend)


class Everybody:
    def __contains__(self, _: object) -> bool:
        return True


ALL = Everybody()


def sequence(arrival: int, prompt: int = 40, sampled: int = 0, limit: int = 1000, priority: int = 0) -> TokenSequence:
    asked = Request(np.zeros(prompt, np.int64), SamplingParams(), seed=0)
    one = TokenSequence(asked, limit, (priority, arrival), None)  # type: ignore[arg-type]
    if sampled:
        one.extend(np.zeros(sampled, np.int64), np.zeros(sampled, np.float32))
    return one


def holding(capacity: int, sequences: Sequence[TokenSequence]) -> Admission:
    admission = Admission(capacity)
    for each in sequences:
        admission.enter(each)
        admission.enter(each)
    return admission


def test_the_oldest_start_as_far_as_memory_reaches() -> None:
    young, old = [sequence(i, priority=1) for i in range(10)], [sequence(i + 10) for i in range(3)]
    admission = holding(1000, [*young, *old])  # 200 tokens each: the prompt, 128 as long as nothing has ended, 32
    assert admission.last(ALL, running=True) is young[1]
    some = set(young[4:])  # the older ones of its priority are not asked for
    assert admission.last(some, running=True) is young[4]
    assert admission.last(some, running=False) is young[8]
    assert holding(1000, young).last(some, running=True) is young[8]
    admission.leave(old[0])
    admission.leave(old[0])
    assert admission.last(ALL, running=True) is young[2]


def after_rounds(rounds: int) -> tuple[Admission, list[TokenSequence]]:
    """Three sequences of an old problem had this many rounds, and nothing of it is alive; a younger one's wait."""
    admission = holding(1000, young := [sequence(100 + i, priority=1) for i in range(10)])
    for turn in range(rounds):
        for each in (old := [sequence(3 * turn + i) for i in range(3)]):
            admission.enter(each)
        assert admission.last(ALL, running=True) is young[1]
        for each in old:
            admission.leave(each)
    return admission, young


def test_the_memory_of_a_search_is_kept_between_its_rounds_but_not_for_ever() -> None:
    admission, young = after_rounds(2)
    assert [admission.last(ALL, running=True) for _ in range(60)] == [young[1]] * 60
    assert [admission.last(ALL, running=True) for _ in range(10)][-1] is young[4]
    assert len(admission._problems) == 1


def test_all_memory_is_kept_for_a_search_that_does_not_fit() -> None:
    admission = holding(1000, [sequence(100, priority=1)])
    for turn in range(2):
        for each in (wide := [sequence(9 * turn + i) for i in range(9)]):
            admission.enter(each)
        assert admission.last(ALL, running=True) is wide[4]
        for each in wide:
            admission.leave(each)
    assert admission.last(ALL, running=True) is None


def test_no_memory_is_kept_for_a_problem_that_never_asked_again() -> None:
    admission, young = after_rounds(1)
    assert admission.last(ALL, running=True) is young[4]


def test_kept_memory_delays_others_only_while_something_runs() -> None:
    admission, young = after_rounds(2)
    admission._capacity = 600  # all of it is kept
    assert admission.last(ALL, running=True) is None
    assert admission.last(ALL, running=False) is young[0]


def test_the_oldest_may_always_start() -> None:
    assert holding(10, [one := sequence(0), sequence(1)]).last(ALL, running=True) is one
    assert Admission(10).last(ALL, running=True) is None


def test_a_sequence_needs_no_more_than_its_limit_and_no_less_than_it_holds() -> None:
    short = [sequence(i, limit=60) for i in range(10)]
    assert holding(640, short).last(ALL, running=True) is short[9]
    long = [sequence(i, sampled=600) for i in range(10)]
    assert holding(640 * 3, long).last(ALL, running=True) is long[2]  # 640 sampled and prompt are ten buckets


def test_what_has_ended_tells_how_long_the_next_will_be() -> None:
    admission = holding(10_000, waiting := [sequence(i) for i in range(100)])
    before = waiting.index(admission.last(ALL, running=True))  # type: ignore[arg-type]
    for i in range(2000):
        admission.enter(ended := sequence(1000 + i, sampled=10))
        admission.leave(ended)
    after = waiting.index(admission.last(ALL, running=True))  # type: ignore[arg-type]
    assert before == 49
    assert after > 90


def test_what_sampled_nothing_tells_nothing() -> None:
    admission = holding(10_000, waiting := [sequence(i) for i in range(100)])
    before, learned = admission.last(ALL, running=True), (admission._sampled, admission._squared)
    for i in range(2000):
        admission.enter(aborted := sequence(1000 + i))
        admission.leave(aborted)
    assert admission.last(ALL, running=True) is before is waiting[49]
    assert (admission._sampled, admission._squared) == learned
