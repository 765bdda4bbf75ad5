"""Reading label tokens and hidden states on the embedded engine: the same numbers as its log-probabilities."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from tests.backends.llama_checkpoint import Shape, reference_logits, write_checkpoint
from tests.backends.servers import MODEL
from widthwise.backends.embedded.backend import EmbeddedBackend
from widthwise.core.arrays import IntArray
from widthwise.core.backend import Request, SamplingParams
from widthwise.core.errors import BackendError, PromptTooLong
from widthwise.core.problem import Problem
from widthwise.core.rewards.language_reward import LanguageRewardModel
from widthwise.core.rewards.reading import Read, Reading
from widthwise.core.rewards.reward import Solution
from widthwise.core.rewards.reward_format import RewardFormat

PROBLEM = Problem("p", "Compute (17 + 5) * 3 - 48.", "18")
LINES = RewardFormat("lines", tag="\n\n")
"""Any model can be read as a scorer in this layout; only a trained one's scores mean anything."""


@pytest.fixture
async def engine() -> AsyncIterator[EmbeddedBackend]:
    backend = EmbeddedBackend(MODEL)
    yield backend
    await backend.close()


def ids_of(engine: EmbeddedBackend, text: str) -> IntArray:
    return np.array(engine.tokenizer.chat([{"role": "user", "content": PROBLEM.text}]) + engine.tokenizer.encode(text))


async def by_prompt_logprobs(engine: EmbeddedBackend, ids: IntArray, label: int, position: int) -> float:
    """The log-probability of a label after a position, computed as that of a prompt's token."""
    prompt = np.array([*ids[: position + 1], label, 0])
    request = Request(prompt, SamplingParams(max_tokens=1, prompt_logprobs=0), seed=0)
    stats = [d.prompt_stats async for d in engine.generate(request) if d.prompt_stats is not None]
    return float(stats[0].logprobs[position])


async def test_labels_are_read_as_prompt_logprobs_give_them(engine: EmbeddedBackend) -> None:
    ids = ids_of(engine, "17 + 5 = 22\n\n22 * 3 = 66\n\n")
    labels = (engine.tokenizer.encode("+")[0], engine.tokenizer.encode("-")[0])
    positions = (4, 20, len(ids) - 1)
    read = await engine.read(Reading(ids, positions, labels))
    expected = [[await by_prompt_logprobs(engine, ids, label, p) for label in labels] for p in positions]
    assert np.array_equal(read.values, np.array(expected, np.float32))
    assert (read.usage.prompt_cached, read.usage.prompt_computed) == (0, len(ids))


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
async def test_labels_are_read_as_the_textbook_computes_them(tmp_path: Path, dtype: str) -> None:
    shape = Shape()
    engine = EmbeddedBackend(write_checkpoint(tmp_path / "model", shape, dtype=dtype))
    ids = np.random.default_rng(1).integers(3, 300, 90)
    read = await engine.read(Reading(ids, (3, 89), (7, 8, 9)))
    logits = reference_logits(shape, shape.weights(), ids.tolist())[[3, 89]]
    logprobs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    tolerance = {"F32": 1e-3, "F16": 0.05, "BF16": 0.6}[dtype]
    assert np.abs(read.values - logprobs[:, 7:10]).max() < tolerance
    await engine.close()


async def test_a_prefix_that_was_read_is_not_computed_again(engine: EmbeddedBackend) -> None:
    ids = ids_of(engine, "17 + 5 = 22\n\n22 * 3 = 66\n\n")
    await engine.read(Reading(ids[:-10], (len(ids) - 11,), (7,)))
    again = await engine.read(Reading(ids, (len(ids) - 1,), (7,)))
    assert again.usage.prompt_computed == 10
    # A position inside the cached part must be computed again, and is.
    inside = await engine.read(Reading(ids, (len(ids) - 20, len(ids) - 1), (7,)))
    assert inside.usage.prompt_computed == 20
    assert inside.values[1].tobytes() == again.values[0].tobytes()


@pytest.mark.slow
async def test_neighbours_change_no_byte(engine: EmbeddedBackend) -> None:
    texts = [f"{n} + 5 = {n + 5}\n\n{n + 5} * 3 = {3 * n + 15}\n\n" for n in range(40)]
    readings = [Reading(ids, (9, len(ids) - 1), (7, 8)) for ids in (ids_of(engine, text) for text in texts)]
    prompt = ids_of(engine, "")
    sampling = [sampled(engine, prompt, seed) for seed in range(8)]
    together = await asyncio.gather(*(engine.read(r) for r in readings), *sampling)
    alone_engine = EmbeddedBackend(MODEL, max_num_seqs=1)
    for reading, read in zip(readings, together, strict=False):
        assert isinstance(read, Read)
        assert (await alone_engine.read(reading)).values.tobytes() == read.values.tobytes()
    for seed, text in enumerate(together[len(readings) :]):
        assert text == await sampled(alone_engine, prompt, seed)
    await alone_engine.close()


async def sampled(engine: EmbeddedBackend, prompt: IntArray, seed: int) -> str:
    request = Request(prompt, SamplingParams(max_tokens=40), seed=seed)
    return "".join([engine.tokenizer.decode(d.token_ids) async for d in engine.generate(request)])


async def test_little_memory_changes_no_byte() -> None:
    roomy, tight = EmbeddedBackend(MODEL), EmbeddedBackend(MODEL, kv_cache_bytes=2**21)
    readings = [Reading(np.arange(5, 5 + n) % 440, (2, n - 1), (7, 8)) for n in (300, 120, 200, 330, 90)]
    wanted = await asyncio.gather(*map(roomy.read, readings))
    got = await asyncio.gather(*map(tight.read, readings))
    assert [r.values.tobytes() for r in got] == [r.values.tobytes() for r in wanted]
    await roomy.close()
    await tight.close()


async def test_what_cannot_be_read(engine: EmbeddedBackend) -> None:
    with pytest.raises(PromptTooLong, match="context is 1024"):
        await engine.read(Reading(np.zeros(2000, np.int64), (5,), (7,)))
    with pytest.raises(BackendError, match="no head"):
        await engine.read(Reading(np.zeros(20, np.int64), (5,)))
    with pytest.raises(ValueError, match="not all within 3 tokens"):
        Reading(np.zeros(3, np.int64), (3,))


async def test_a_reward_model_on_the_engine(engine: EmbeddedBackend) -> None:
    model = LanguageRewardModel(engine, LINES)
    steps = ("17 + 5 = 22", "22 * 3 = 66", "66 - 48 = 18")
    (scores,) = await model.score(PROBLEM, [Solution(steps)])
    laid = LINES.laid_out(engine.tokenizer, PROBLEM, steps)
    good, bad = LINES.label_ids(engine.tokenizer)
    logprobs = [[await by_prompt_logprobs(engine, laid.ids, label, p) for label in (good, bad)] for p in laid.positions]
    assert scores.steps == pytest.approx([np.exp(g) / (np.exp(g) + np.exp(b)) for g, b in logprobs], rel=1e-5)
    assert scores.tokens == len(laid.ids)


async def test_readings_of_many_problems_share_the_engines_steps(engine: EmbeddedBackend) -> None:
    steps, step = 0, engine._engine.step

    def counted() -> object:
        nonlocal steps
        steps += 1
        return step()

    engine._engine.step = counted  # type: ignore[method-assign, assignment]
    model = LanguageRewardModel(engine, LINES)
    problems = [Problem(f"p{n}", f"Compute {n} + 5.", None) for n in range(16)]
    scores = await asyncio.gather(*(model.score(p, [Solution((f"{p.text} is easy",))]) for p in problems))
    assert all(each[0].steps is not None for each in scores)
    assert steps <= 5


async def test_a_known_prefix_is_neither_read_nor_paid_for(engine: EmbeddedBackend) -> None:
    model = LanguageRewardModel(engine, LINES)
    steps = ("17 + 5 = 22", "22 * 3 = 66", "66 - 48 = 18")
    fresh = (await model.score(PROBLEM, [Solution(steps)]))[0]
    assert fresh.steps is not None
    grown = (await model.score(PROBLEM, [Solution(steps, (0.25, 0.5))]))[0]
    laid = LINES.laid_out(engine.tokenizer, PROBLEM, steps)
    assert grown.steps == (0.25, 0.5, fresh.steps[2])
    assert grown.tokens == laid.positions[2] - laid.positions[1]


async def test_siblings_share_what_they_cost_as_the_engine_computes_it() -> None:
    engine = EmbeddedBackend(MODEL)
    computed: list[int] = []

    class Counting:
        name, tokenizer, reuses_prefixes = engine.name, engine.tokenizer, True
        describe, close = engine.describe, engine.close

        async def read(self, reading: Reading) -> Read:
            read = await engine.read(reading)
            computed.append(read.usage.prompt_computed)
            return read

    model = LanguageRewardModel(Counting(), LINES)
    solutions = [Solution(("17 + 5 = 22", f"22 * {n} = {22 * n}")) for n in range(2, 9)]
    scores = await model.score(PROBLEM, solutions)
    laid = [LINES.laid_out(engine.tokenizer, PROBLEM, s.steps) for s in solutions]
    assert sum(s.tokens for s in scores) < sum(len(each.ids) for each in laid) / 2
    assert sum(s.tokens for s in scores) <= sum(computed)
    await engine.close()


async def test_one_solution_too_long_does_not_hurt_the_others(engine: EmbeddedBackend) -> None:
    model = LanguageRewardModel(engine, LINES)
    short, long = await model.score(PROBLEM, [Solution(("1 + 1 = 2",)), Solution(("1 + " * 2000,))])
    assert short.steps is not None
    assert long.steps is None
    assert "context" in str(long.error)
    assert (short.abstained, long.abstained) == (False, True)


async def test_embeddings_are_unit_rows_and_near_for_like_texts(engine: EmbeddedBackend) -> None:
    texts = ["17 + 5 = 22", "18 + 5 = 23", "\\boxed{7}", ""]
    rows, tokens = await engine.embed(texts)
    assert rows.shape == (4, 128)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert tokens == sum(1 + len(engine.tokenizer.encode(t)) for t in texts)
    assert rows[0] @ rows[1] > rows[0] @ rows[2]
    cut, most = await engine.embed(["1 + " * 2000])
    assert (cut.shape, most) == ((1, 128), 1022)
    again = await asyncio.gather(*(engine.embed([t]) for t in texts))
    assert np.array_equal(np.concatenate([each for each, _ in again]), rows)
