"""The embedded backend: the same bytes whatever runs beside it, exact accounting, and no leftover request."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.backends.llama_checkpoint import Shape, reference_logits, write_checkpoint
from widthwise.backends.embedded import engine
from widthwise.backends.embedded.backend import EmbeddedBackend
from widthwise.backends.embedded.kv_cache import shared_length
from widthwise.core.arrays import IntArray
from widthwise.core.backend import Delta, Request, SamplingParams, Usage
from widthwise.core.errors import BackendError, PromptTooLong

SHAPE = Shape(max_len=320)
TOKEN_BYTES = SHAPE.layers * 2 * SHAPE.kv_heads * SHAPE.head_dim * 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("llama"), SHAPE)


@pytest.fixture(scope="module")
def micro_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shape = Shape(width=128, hidden=352, layers=3, max_len=320, tied=False)
    return write_checkpoint(tmp_path_factory.mktemp("micro"), shape)


@pytest.fixture
def backend(folder: Path) -> EmbeddedBackend:
    return EmbeddedBackend(folder)


def prompt(n: int, seed: int = 0) -> IntArray:
    return np.random.default_rng(seed).integers(3, 300, n)


def request(tokens: IntArray, seed: int = 1, chunk: int = 16, priority: int = 0, **params: Any) -> Request:
    return Request(tokens, SamplingParams(**{"max_tokens": 24, **params}), seed, chunk=chunk, priority=priority)


async def collect(backend: EmbeddedBackend, asked: Request) -> list[Delta]:
    return [delta async for delta in backend.generate(asked)]


async def together(backend: EmbeddedBackend, asked: Sequence[Request]) -> list[list[Delta]]:
    return list(await asyncio.gather(*(collect(backend, one) for one in asked)))


def ids(deltas: list[Delta]) -> list[int]:
    return [int(t) for delta in deltas for t in delta.token_ids]


def signature(deltas: list[Delta]) -> tuple[Any, ...]:
    """Everything that must not depend on concurrent requests, as bytes."""
    stats = [d.stats for d in deltas if d.stats is not None]
    prompt_stats = [d.prompt_stats for d in deltas if d.prompt_stats is not None]
    return (
        ids(deltas),
        b"".join(s.logprobs.tobytes() for s in stats),
        b"".join(s.top_ids.tobytes() for s in stats if s.top_ids is not None),
        b"".join(s.top_logprobs.tobytes() for s in stats if s.top_logprobs is not None),
        [s.logprobs.tobytes() for s in prompt_stats],
        deltas[-1].finish,
        deltas[-1].stop_reason,
    )


def mixture() -> list[Request]:
    """Requests of many kinds, some of which share prompts or prefixes."""
    kinds: list[dict[str, Any]] = [
        {},
        {"temperature": 0.7, "logprobs": 3},
        {"temperature": 0.0},
        {"top_p": 0.9, "top_k": 40},
        {"min_p": 0.02, "logprobs": None},
        {"prompt_logprobs": 2},
        {"stop": ("2 ", "é"), "max_tokens": 100},
        {"stop_token_ids": tuple(range(40, 60)), "max_tokens": 100},
        {"max_tokens": 150},
        {"max_tokens": 1},
        {"repetition_penalty": 1.3, "frequency_penalty": 0.4, "presence_penalty": 0.2, "max_tokens": 100},
    ]
    lengths = [1, 2, 7, 8, 9, 40, 63, 64, 65, 100, 127, 128, 130, 200]
    asked = [request(prompt(n, seed=i), seed=i, **kinds[i % len(kinds)]) for i, n in enumerate(lengths)]
    shared = prompt(70, seed=99)
    asked += [request(shared, seed=100 + i, **kinds[i % len(kinds)]) for i in range(10)]
    asked += [request(np.append(shared[:50], i), seed=200 + i, priority=-i, **kinds[i]) for i in range(5)]
    return asked


@pytest.fixture(scope="module")
def alone(folder: Path) -> list[tuple[Any, ...]]:
    """The mixture's signatures, with each request on its own engine."""
    return [signature(asyncio.run(collect(EmbeddedBackend(folder), one))) for one in mixture()]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_num_seqs": 1},
        {"max_num_seqs": 5},
        {"kv_cache_bytes": 320 * TOKEN_BYTES},  # hardly more than the longest request needs
        {"kv_cache_bytes": 900 * TOKEN_BYTES},
        {"kv_cache_bytes": 3000 * TOKEN_BYTES, "max_num_seqs": 9},
    ],
)
def test_bytes_do_not_depend_on_company_or_memory(
    folder: Path, alone: list[tuple[Any, ...]], options: dict[str, int]
) -> None:
    backend = EmbeddedBackend(folder, **options)
    cold, warm = asyncio.run(together(backend, mixture())), asyncio.run(together(backend, mixture()))
    assert [signature(d) for d in cold] == alone
    assert [signature(d) for d in warm] == alone


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_bytes_do_not_depend_on_order_chunk_or_neighbours(
    folder: Path, alone: list[tuple[Any, ...]], seed: int
) -> None:
    rng = random.Random(seed)
    strangers = [request(prompt(rng.randint(1, 150), 1000 + i), seed=i, max_tokens=60) for i in range(20)]
    chunked = [replace(one, chunk=rng.choice([1, 3, 16, 64, 1000])) for one in mixture()]
    order = list(range(len(chunked) + len(strangers)))
    rng.shuffle(order)
    backend = EmbeddedBackend(folder, max_num_seqs=rng.choice([3, 17, 256]))

    async def late(one: Request) -> list[Delta]:
        for _ in range(rng.randint(0, 30)):
            await asyncio.sleep(0)
        return await collect(backend, one)

    async def run() -> list[list[Delta]]:
        everybody = [*chunked, *strangers]
        done = await asyncio.gather(*(late(everybody[i]) for i in order))
        return [done[order.index(i)] for i in range(len(chunked))]

    assert [signature(d) for d in asyncio.run(run())] == alone


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_aborts_do_not_disturb_the_others(folder: Path, alone: list[tuple[Any, ...]], seed: int) -> None:
    rng = random.Random(seed)
    backend = EmbeddedBackend(folder, max_num_seqs=12, kv_cache_bytes=1500 * TOKEN_BYTES)

    async def abandoned(number: int) -> None:
        await asyncio.sleep(rng.random() * 0.05)
        asked = request(prompt(rng.randint(1, 150), number % 4), seed=number, chunk=rng.randint(1, 20), max_tokens=150)
        async with aclosing(backend.generate(asked)) as stream:  # type: ignore[type-var]
            for _ in range(rng.randint(0, 5)):
                await anext(stream, None)

    async with asyncio.TaskGroup() as group:
        for number in range(60):
            group.create_task(abandoned(number))
        kept = [group.create_task(collect(backend, one)) for one in mixture()]
    assert [signature(task.result()) for task in kept] == alone
    assert backend._engine.working_bytes == 0


@pytest.mark.slow
def test_bytes_at_the_bundled_models_width(micro_folder: Path) -> None:
    asked = [request(prompt(30 + i % 7, i % 5), seed=i, max_tokens=70) for i in range(40)]
    backend = EmbeddedBackend(micro_folder, max_num_seqs=33)
    crowd = asyncio.run(together(backend, asked))
    for i in (0, 7, 23, 39):
        assert signature(asyncio.run(collect(EmbeddedBackend(micro_folder), asked[i]))) == signature(crowd[i])


async def test_a_slow_consumer_gets_the_same_bytes(folder: Path, alone: list[tuple[Any, ...]]) -> None:
    backend = EmbeddedBackend(folder)

    async def slow(one: Request) -> list[Delta]:
        deltas = []
        async for delta in backend.generate(replace(one, chunk=5)):
            deltas.append(delta)
            await asyncio.sleep(0.002)
        return deltas

    done = await asyncio.gather(*(slow(one) for one in mixture()))
    assert [signature(d) for d in done] == alone


async def test_greedy_follows_the_reference(backend: EmbeddedBackend) -> None:
    tokens = prompt(30)
    deltas = await collect(backend, request(tokens, temperature=0.0, logprobs=2, prompt_logprobs=1, max_tokens=40))
    sampled = ids(deltas)
    logits = reference_logits(SHAPE, SHAPE.weights(), [*tokens.tolist(), *sampled])
    logprobs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    assert sampled == logits[29:-1].argmax(-1).tolist()
    stats = [d.stats for d in deltas if d.stats is not None]
    ours = np.concatenate([s.logprobs for s in stats])
    np.testing.assert_allclose(ours, logprobs[29:-1].max(-1), atol=1e-3)
    top = np.concatenate([s.top_logprobs for s in stats if s.top_logprobs is not None])
    np.testing.assert_allclose(top, -np.sort(-logprobs[29:-1])[:, :2], atol=1e-3)
    of_prompt = deltas[0].prompt_stats
    assert of_prompt is not None
    np.testing.assert_allclose(of_prompt.logprobs, logprobs[np.arange(29), tokens[1:]], atol=1e-3)


async def test_a_shared_prompt_is_computed_once(backend: EmbeddedBackend) -> None:
    tokens = prompt(100)
    usages = [d[0].usage for d in await together(backend, [request(tokens, seed=i) for i in range(8)])]
    assert sorted(u.prompt_computed for u in usages if u) == [1] * 7 + [100]
    assert all(u and u.prompt_cached + u.prompt_computed == 100 for u in usages)


async def test_prompts_that_begin_alike_share_their_beginning(backend: EmbeddedBackend) -> None:
    beginning = prompt(80)
    asked = [request(np.append(beginning, [5 + i, 6, 7]), seed=i) for i in range(6)]
    usages = [d[0].usage for d in await together(backend, asked)]
    assert sorted(u.prompt_computed for u in usages if u) == [3] * 5 + [83]


async def test_continuing_a_trace_hits_the_cache(backend: EmbeddedBackend) -> None:
    tokens = prompt(50)
    sampled = ids(await collect(backend, request(tokens, max_tokens=30)))
    longer = np.concatenate([tokens, sampled, [9, 10]])
    # All but the last sampled token, whose keys and values were not needed yet.
    assert (await collect(backend, request(longer)))[0].usage == Usage(50 + len(sampled) - 1, 3)


async def test_a_request_advances_only_while_awaited(backend: EmbeddedBackend) -> None:
    async with aclosing(backend.generate(request(prompt(10), chunk=5, max_tokens=50))) as stream:  # type: ignore[type-var]
        assert len((await anext(stream)).token_ids) == 5
        row = next(iter(backend._engine._row_of))
        await collect(backend, request(prompt(11), max_tokens=40))
        assert len(row) == 15
        assert len((await anext(stream)).token_ids) == 5
    assert backend._engine.working_bytes == 0
    assert not backend._engine.busy


async def test_closing_frees_at_once(backend: EmbeddedBackend) -> None:
    streams = [backend.generate(request(prompt(70), seed=i, max_tokens=200)) for i in range(9)]
    await asyncio.gather(*(anext(s) for s in streams))
    for stream in streams[:8]:
        await stream.aclose()  # type: ignore[attr-defined]
    assert backend._engine.working_bytes == 128 * TOKEN_BYTES
    waiting = asyncio.create_task(anext(streams[8]))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert backend._engine.working_bytes == 0
    assert not backend._engine.busy


async def test_memory_stays_within_its_limit(folder: Path) -> None:
    limit = 2000 * TOKEN_BYTES
    backend, seen = EmbeddedBackend(folder, kv_cache_bytes=limit), []
    step = backend._engine.step

    def watched() -> Any:
        result = step()
        seen.append(backend._engine.working_bytes + backend._engine._cache.nbytes)
        return result

    backend._engine.step = watched  # type: ignore[method-assign]
    done = await together(backend, [request(prompt(60, i), seed=i, max_tokens=150) for i in range(30)])
    assert all(d[-1].finish for d in done)
    assert limit / 2 < max(seen) <= limit


@pytest.mark.parametrize(("prompts", "samples"), [(4, 8), (4, 32), (16, 8), (16, 16)])
async def test_admission_compares_a_request_with_few_others_however_many_wait(
    backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch, prompts: int, samples: int
) -> None:
    compared = 0

    def counted(a: IntArray, b: IntArray) -> int:
        nonlocal compared
        compared += 1
        return shared_length(a, b)

    monkeypatch.setattr(engine, "shared_length", counted)
    asked = [request(prompt(280, i), seed=s, max_tokens=4) for i in range(prompts) for s in range(samples)]
    usages = [d[0].usage for d in await together(backend, asked)]
    assert sorted(u.prompt_computed for u in usages if u)[-prompts - 1 :] == [1] + [280] * prompts
    assert compared <= 3 * len(asked)


def waiting_for_one(backend: EmbeddedBackend) -> list[asyncio.Task[list[Delta]]]:
    """Five requests with one prompt of more than a step."""
    asked = [request(prompt(300), seed=i, max_tokens=10) for i in range(5)]
    return [asyncio.create_task(collect(backend, one)) for one in asked]


async def until_they_wait(backend: EmbeddedBackend) -> None:
    while not any(len(prefill.followers) == 4 for prefill in backend._engine._prefills):  # noqa: ASYNC110
        await asyncio.sleep(0)


@pytest.mark.parametrize("gone", [[0], [1], [4], [0, 1], [0, 1, 2, 3], [1, 2, 3, 4], [0, 1, 2, 3, 4]])
async def test_requests_that_wait_for_a_prefill_outlive_those_that_are_cancelled(
    backend: EmbeddedBackend, folder: Path, monkeypatch: pytest.MonkeyPatch, gone: list[int]
) -> None:
    alone = await asyncio.gather(*waiting_for_one(EmbeddedBackend(folder)))
    monkeypatch.setattr(engine, "PREFILL_ROWS", 16)  # so that the prefill is still under way when they are cancelled
    tasks = waiting_for_one(backend)
    await until_they_wait(backend)
    for i in gone:
        tasks[i].cancel()
    await asyncio.gather(*(tasks[i] for i in gone), return_exceptions=True)
    assert not backend._engine._row_of
    done = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 300)
    assert [i for i, each in enumerate(done) if isinstance(each, asyncio.CancelledError)] == gone
    kept = [(signature(d), signature(alone[i])) for i, d in enumerate(done) if isinstance(d, list)]
    assert all(ours == theirs for ours, theirs in kept)
    assert not backend._engine.busy
    assert backend._engine.working_bytes == 0


async def test_requests_that_wait_for_a_prefill_fail_with_it(
    backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = waiting_for_one(backend)
    await until_they_wait(backend)
    with monkeypatch.context() as patch:
        patch.setattr(backend._engine.model, "forward", None)
        done = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 300)
    assert all(isinstance(each, BackendError) for each in done)
    assert all(ids(d) for d in await asyncio.wait_for(asyncio.gather(*waiting_for_one(backend)), 300))


async def test_requests_that_wait_for_a_prefill_go_on_when_it_is_preempted_or_forgotten(folder: Path) -> None:
    """With memory for hardly more than one, what the first computed is evicted before the others can load it."""
    alone = await asyncio.gather(*waiting_for_one(EmbeddedBackend(folder)))
    backend = EmbeddedBackend(folder, kv_cache_bytes=330 * TOKEN_BYTES)
    tasks = waiting_for_one(backend)
    await until_they_wait(backend)
    backend._engine._preempt(backend._engine._prefills[0].sequence)
    done = await asyncio.wait_for(asyncio.gather(*tasks), 300)
    assert [signature(d) for d in done] == [signature(d) for d in alone]


async def test_stops(backend: EmbeddedBackend) -> None:
    asked = request(prompt(20), max_tokens=200)
    text = backend.tokenizer.decode(sampled := ids(await collect(backend, asked)))
    string = text[30:33]
    stopped = await collect(backend, replace(asked, params=replace(asked.params, stop=("never seen", string))))
    assert (stopped[-1].finish, stopped[-1].stop_reason) == ("stop", string)
    kept = ids(stopped)
    assert kept == sampled[: len(kept)]
    assert string in backend.tokenizer.decode(kept)
    assert string not in backend.tokenizer.decode(kept[:-1])
    stopped = await collect(backend, replace(asked, params=replace(asked.params, stop_token_ids=(sampled[4],))))
    assert ids(stopped) == sampled[: sampled.index(sampled[4]) + 1]
    assert stopped[-1].stop_reason == sampled[4]


async def test_the_end_of_the_context(backend: EmbeddedBackend) -> None:
    deltas = await collect(backend, request(prompt(310), max_tokens=None))
    assert len(ids(deltas)) == 10
    assert deltas[-1].finish == "length"
    with pytest.raises(PromptTooLong, match=r"320 tokens, but the model's context is 320"):
        await collect(backend, request(prompt(320)))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (request(prompt(0)), "the prompt is empty"),
        (request(np.array([5, 320])), r"outside 0\.\.319"),
        (request(np.array([-1])), r"outside 0\.\.319"),
        (request(prompt(5), logprobs=321), "320 tokens"),
        (request(prompt(5), seed=-1), "is negative"),
    ],
)
async def test_bad_requests(backend: EmbeddedBackend, bad: Request, message: str) -> None:
    with pytest.raises(BackendError, match=message):
        await collect(backend, bad)
    assert ids(await collect(backend, request(prompt(5))))


def test_the_context_is_as_long_as_its_keys_and_values_fit_and_says_so(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path, Shape(layers=4, max_len=2**20))
    backend = EmbeddedBackend(folder)
    assert backend.max_model_len == 2**19  # 256 MiB at 512 bytes per token
    assert "the context is limited by kv_cache_bytes to 524288 tokens" in " ".join(backend.describe()["notes"])
    assert EmbeddedBackend(folder, max_model_len=600).max_model_len == 600


async def test_a_request_larger_than_the_memory(folder: Path) -> None:
    backend = EmbeddedBackend(folder, kv_cache_bytes=128 * TOKEN_BYTES)
    with pytest.raises(BackendError, match=r"a sequence of up to 160 tokens needs .* raise it or ask for fewer"):
        await collect(backend, request(prompt(100), max_tokens=60))
    assert ids(await collect(backend, request(prompt(100), max_tokens=28)))


async def test_an_exception_in_a_step_reaches_everybody(backend: EmbeddedBackend) -> None:
    forward = backend._engine.model.forward
    backend._engine.model.forward = None  # type: ignore[assignment]
    results = await asyncio.gather(
        *(collect(backend, request(prompt(9), seed=i)) for i in range(3)), return_exceptions=True
    )
    assert all(isinstance(r, BackendError) and "failed with TypeError" in str(r) for r in results)
    backend._engine.model.forward = forward  # type: ignore[method-assign]
    assert ids(await collect(backend, request(prompt(9))))


@pytest.mark.parametrize("where", ["submit", "step"])
async def test_an_engine_out_of_memory_says_so_and_goes_on(
    where: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = EmbeddedBackend(folder)

    def full(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(backend._engine, where, full)
        several = (collect(backend, request(prompt(9), seed=i)) for i in range(3))
        results = await asyncio.wait_for(asyncio.gather(*several, return_exceptions=True), 300)
    said = "the embedded engine failed with MemoryError: lower --concurrency, max_num_seqs or kv_cache_bytes"
    assert {str(result) for result in results if isinstance(result, BackendError)} == {said}
    assert len(results) == 3
    assert ids(await collect(backend, request(prompt(9)))) == ids(
        await collect(EmbeddedBackend(folder), request(prompt(9)))
    )


async def test_closing_the_backend_ends_what_is_awaited(folder: Path) -> None:
    backend = EmbeddedBackend(folder)
    tasks = [asyncio.create_task(collect(backend, request(prompt(9), max_tokens=310, chunk=300))) for _ in range(3)]
    begun = backend.generate(request(prompt(9), max_tokens=300))
    await anext(begun)
    await backend.close()
    await backend.close()
    with pytest.raises(BackendError, match="was closed"):
        await anext(begun)
    assert all(isinstance(r, BackendError) for r in await asyncio.gather(*tasks, return_exceptions=True))
    with pytest.raises(BackendError, match="was closed"):
        await collect(backend, request(prompt(9)))


def test_a_loop_that_ended_in_mid_stream_leaves_nothing(backend: EmbeddedBackend) -> None:
    async def interrupted() -> None:
        task = asyncio.create_task(collect(backend, request(prompt(9), max_tokens=300)))
        await asyncio.sleep(0)
        del task

    asyncio.run(interrupted())
    assert not backend._engine.busy
    assert ids(asyncio.run(collect(backend, request(prompt(9)))))


def test_description(backend: EmbeddedBackend, folder: Path) -> None:
    described = backend.describe()
    assert described["bit_reproducible"] is True
    assert described["parameters"] == sum(w.size for w in SHAPE.weights().values())
    assert len(described["model_digest"]) == 64
    assert EmbeddedBackend(folder, max_model_len=100).max_model_len == 100


@pytest.mark.parametrize(
    ("options", "message"), [({"max_num_seqs": 0}, "at least 1"), ({"max_model_len": 999}, "2 to 320")]
)
def test_bad_options(folder: Path, options: dict[str, int], message: str) -> None:
    with pytest.raises(BackendError, match=message):
        EmbeddedBackend(folder, **options)


def test_no_such_folder() -> None:
    with pytest.raises(BackendError, match="there is no folder"):
        EmbeddedBackend("no/such/folder")
