"""Helpers for the tests that every backend must pass."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from widthwise.core.arrays import IntArray
from widthwise.core.backend import Backend, Delta, FinishReason, Request, SamplingParams, TokenStats, Usage

PROBLEM = "p0"
MESSAGES = [{"role": "user", "content": "Compute (15 - 7) * (4 * 1 + 72) + 6 - 3 * (8 + 2)."}]


@dataclass(frozen=True, slots=True)
class Subject:
    """A backend under test; ``running`` counts the requests that its engine still works on."""

    backend: Backend
    running: Callable[[], int]

    @property
    def samples(self) -> bool:
        """Whether tokens are sampled (a replay already has them: seeds and temperatures have no effect on it)."""
        return self.backend.describe()["backend"] != "replay"

    @property
    def prompt(self) -> IntArray:
        return np.array(self.backend.tokenizer.chat(MESSAGES), np.int64)

    @property
    def nonsense(self) -> IntArray:
        """A prompt that no model is sure how to continue: trained models answer ordinary ones the same for any seed."""
        return self.prompt[::-1]

    def need(self, capability: str) -> None:
        """Skip the test where the backend does not declare the capability."""
        if not getattr(self.backend.capabilities, capability):
            pytest.skip(f"the backend declares no {capability}")

    def need_sampling(self) -> None:
        if not self.samples:
            pytest.skip("recorded tokens are not drawn")

    def need_context_limit(self) -> int:
        if self.backend.max_model_len is None:
            pytest.skip("the backend knows no context limit")
        return self.backend.max_model_len

    def request(
        self, prompt: Sequence[int] | IntArray | None = None, *, seed: int = 1, index: int = 0, **rest: Any
    ) -> Request:
        """A request, of 48 tokens by default; ``rest`` may set ``chunk`` and the sampling parameters."""
        chunk = rest.pop("chunk", 16)
        params = SamplingParams(**{"max_tokens": 48, **rest})
        ids = self.prompt if prompt is None else np.asarray(prompt, np.int64)
        return Request(ids, params, seed, problem=PROBLEM, index=index, chunk=chunk)

    async def sample(self, prompt: Sequence[int] | IntArray | None = None, **rest: Any) -> Sampled:
        return await self.run(self.request(prompt, **rest))

    async def run(self, request: Request) -> Sampled:
        return Sampled([delta async for delta in self.backend.generate(request)], self.backend)

    async def begin(self, request: Request, tokens: int) -> int:
        """Take at least ``tokens`` tokens of a request, then close it; returns how many were taken."""
        taken = 0
        async with aclosing(self.backend.generate(request)) as deltas:  # type: ignore[type-var]
            async for delta in deltas:
                taken += len(delta.token_ids)
                if taken >= tokens:
                    break
        return taken

    async def idle(self, seconds: float = 60.0) -> bool:
        """Whether the engine becomes idle within so many seconds."""
        for _ in range(int(seconds / 0.05)):
            if await asyncio.to_thread(self.running) == 0:
                return True
            await asyncio.sleep(0.05)
        return False


@dataclass(frozen=True, slots=True)
class Sampled:
    """A finished request: its deltas, and what they add up to."""

    deltas: list[Delta]
    backend: Backend

    @property
    def ids(self) -> list[int]:
        return [int(i) for delta in self.deltas for i in delta.token_ids]

    @property
    def text(self) -> str:
        return self.backend.tokenizer.decode(self.ids)

    @property
    def finish(self) -> FinishReason | None:
        return self.deltas[-1].finish

    @property
    def ended(self) -> bool:
        """Whether the model ended the text itself, judging by its last token."""
        return self.ids[-1] in self.backend.tokenizer.eos_ids

    @property
    def stop_reason(self) -> str | int | None:
        return self.deltas[-1].stop_reason

    @property
    def usage(self) -> Usage:
        (usage,) = [delta.usage for delta in self.deltas if delta.usage is not None]
        return usage

    @property
    def stats(self) -> list[TokenStats]:
        return [delta.stats for delta in self.deltas if delta.stats is not None]

    @property
    def all_stats(self) -> TokenStats:
        tops = [(s.top_ids, s.top_logprobs) for s in self.stats if s.top_ids is not None and s.top_logprobs is not None]
        if not tops:
            return TokenStats(self.logprobs)
        return TokenStats(self.logprobs, np.concatenate([t[0] for t in tops]), np.concatenate([t[1] for t in tops]))

    @property
    def logprobs(self) -> np.ndarray[Any, Any]:
        return np.concatenate([stats.logprobs for stats in self.stats])

    @property
    def prompt_stats(self) -> TokenStats:
        (stats,) = [delta.prompt_stats for delta in self.deltas if delta.prompt_stats is not None]
        return stats
