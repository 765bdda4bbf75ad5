"""The embedded engine and vLLM agree on the bundled checkpoint."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys

import numpy as np

from tests.backends.servers import CPU_ENVIRONMENT, HERE, MODEL
from widthwise.backends.embedded.backend import EmbeddedBackend
from widthwise.core.arrays import FloatArray
from widthwise.core.backend import Request, SamplingParams

PROBLEMS = ["Compute 37 * 4 - 58", "Compute 12 + 9 * 7 - 30 / 5", "Use the numbers 3, 7, 19, 25 to reach 54"]


async def sampled(backend: EmbeddedBackend, prompt: list[int], seed: int) -> tuple[list[int], FloatArray]:
    """A prompt with its continuation, and the log-probability of each token but the first."""
    params = SamplingParams(max_tokens=200, temperature=1.2, prompt_logprobs=0)
    deltas = [delta async for delta in backend.generate(Request(np.array(prompt), params, seed))]
    assert deltas[0].prompt_stats is not None
    logprobs = [deltas[0].prompt_stats.logprobs, *(d.stats.logprobs for d in deltas if d.stats is not None)]
    return [*prompt, *(int(t) for d in deltas for t in d.token_ids)], np.concatenate(logprobs)


async def test_log_probabilities_are_vllms(vllm: None) -> None:
    backend = EmbeddedBackend(MODEL)
    prompts = [backend.tokenizer.chat([{"role": "user", "content": text}]) for text in PROBLEMS]
    ours = await asyncio.gather(*(sampled(backend, p, seed) for p in prompts for seed in range(4)))
    theirs = await asyncio.to_thread(vllm_logprobs, [tokens for tokens, _ in ours])
    for (_, logprobs), expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(logprobs, expected, atol=1e-3)


def vllm_logprobs(sequences: list[list[int]]) -> list[list[float]]:
    process = subprocess.run(
        [sys.executable, str(HERE / "vllm_logprobs.py"), str(MODEL)],
        input=json.dumps(sequences),
        env=os.environ | CPU_ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    said = [line for line in process.stdout.splitlines() if line.startswith("said ")]
    assert said, process.stderr[-2000:]
    logprobs: list[list[float]] = json.loads(said[-1].removeprefix("said "))
    return logprobs
