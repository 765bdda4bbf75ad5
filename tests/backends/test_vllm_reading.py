"""Reading on vLLM: the same numbers as the embedded engine gives with the same weights."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.backends.conformance import Subject
from tests.backends.heads import expected_outputs, write_qwen_prm
from tests.backends.servers import CPU_ENVIRONMENT, MODEL
from widthwise.backends.embedded.backend import EmbeddedBackend
from widthwise.core.errors import BackendError, PromptTooLong
from widthwise.core.problem import Problem
from widthwise.core.rewards.language_reward import LanguageRewardModel
from widthwise.core.rewards.reading import Reading
from widthwise.core.rewards.reward import Solution
from widthwise.core.rewards.reward_format import RewardFormat

ENGINE = {"kv_cache_memory_bytes": 1 << 28, "max_num_seqs": 32, "dtype": "float32"}
IDS = np.random.default_rng(2).integers(5, 440, 200)
LABELS = (359, 361)


def started(make: Any, *arguments: Any, **options: Any) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CPU_ENVIRONMENT.items():
            patch.setenv(name, value)
        return make(*arguments, **{**ENGINE, **options})


@pytest.fixture(scope="module")
def prm(vllm: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from widthwise.backends.vllm.pooling import VLLMPooling

    folder = write_qwen_prm(tmp_path_factory.mktemp("models") / "prm")
    engine = started(VLLMPooling, str(folder), task="token_classify")
    yield engine
    asyncio.run(engine.close())


@pytest.fixture(scope="module")
def embedder(vllm: None) -> Iterator[Any]:
    from widthwise.backends.vllm.pooling import VLLMPooling

    engine = started(VLLMPooling, str(MODEL), task="embed")
    yield engine
    asyncio.run(engine.close())


async def test_labels_of_a_generator(vllm_subject: Subject) -> None:
    backend: Any = vllm_subject.backend
    reading = Reading(IDS, (7, 60, 130, 199), LABELS)
    read = await backend.read(reading)
    embedded = EmbeddedBackend(MODEL)
    wanted = await embedded.read(reading)
    await embedded.close()
    odds, wanted_odds = (np.diff(r.values, axis=1) for r in (read, wanted))
    assert np.abs(odds - wanted_odds).max() < 0.3  # vLLM computes in bf16 here
    again = await backend.read(reading)
    assert again.usage.prompt_cached > again.usage.prompt_computed


async def test_a_reward_model_on_a_generator(vllm_subject: Subject) -> None:
    model = LanguageRewardModel(vllm_subject.backend, RewardFormat("lines", tag="\n\n"))  # type: ignore[arg-type]
    problem, steps = Problem("p", "Compute 17 + 5."), ("17 + 5 = 22", "\\boxed{22}")
    first, second, long = await model.score(problem, [Solution(steps[:1]), Solution(steps), Solution(("1 + " * 3000,))])
    assert first.steps is not None
    assert second.steps is not None
    assert len(second.steps) == 2
    assert first.steps[0] == pytest.approx(second.steps[0], abs=0.05)
    assert long.steps is None
    assert "context" in str(long.error)


async def test_the_head_of_a_process_reward_model(prm: Any) -> None:
    wanted = await asyncio.to_thread(expected_outputs, IDS)
    read = await prm.read(Reading(IDS, (7, 60, 199)))
    assert np.abs(read.values - wanted[[7, 60, 199]]).max() < 0.01
    assert read.usage.prompt_cached == 0


async def test_a_scored_prefix_is_not_computed_again(prm: Any) -> None:
    ids = np.random.default_rng(3).integers(5, 440, 200)
    await prm.read(Reading(ids[:150], (149,)))
    wanted = (await prm.read(Reading(ids, (190, 199)))).usage
    assert wanted.prompt_cached >= 128
    inside = await prm.read(Reading(ids, (40, 199)))  # the cached part has no outputs, so all is recomputed
    assert inside.usage.prompt_cached == 0
    assert np.abs(inside.values - (await asyncio.to_thread(expected_outputs, ids))[[40, 199]]).max() < 0.01


async def test_many_at_once_and_one_that_does_not_fit(prm: Any) -> None:
    readings = [Reading(IDS[:n], (n - 1,)) for n in range(20, 120, 5)]
    reads = await asyncio.gather(*map(prm.read, readings))
    wanted = await asyncio.to_thread(expected_outputs, IDS)
    assert np.abs(np.concatenate([r.values for r in reads]) - wanted[np.arange(19, 119, 5)]).max() < 0.01
    with pytest.raises(PromptTooLong):
        await prm.read(Reading(np.full(3000, 7), (5,)))


async def test_embeddings(embedder: Any) -> None:
    rows, tokens = await embedder.embed(["17 + 5 = 22", "18 + 5 = 23", "\\boxed{7}", ""])
    assert rows.shape == (4, 128)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-4)
    assert rows[0] @ rows[1] > rows[0] @ rows[2]
    assert tokens > 8


async def test_a_closed_engine_says_so(embedder: Any) -> None:
    await embedder.close()
    with pytest.raises(BackendError, match="closed"):
        await embedder.embed(["a"])
