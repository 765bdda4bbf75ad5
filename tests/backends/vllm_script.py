"""A user's script around the vLLM backend, run as a process: `python vllm_script.py close|wait`.

It prints one JSON line when its requests run. `close` then closes the backend under them and prints how they ended;
`wait` waits to be killed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import numpy as np

from tests.backends.servers import MODEL
from widthwise.backends.vllm.backend import VLLMBackend
from widthwise.backends.vllm.scratch import SCRATCH
from widthwise.core.backend import Request, SamplingParams


async def use(backend: VLLMBackend, role: str) -> None:
    prompt = np.array(backend.tokenizer.chat([{"role": "user", "content": "1 + 2"}]))
    endless = SamplingParams(max_tokens=900, temperature=2.0)
    tasks = [asyncio.create_task(_drawn(backend, Request(prompt, endless, i))) for i in range(16)]
    await asyncio.sleep(0.3)
    _say({"engine": [process.pid for process in backend._processes], "scratch": str(SCRATCH.path)})
    if role == "wait":
        await asyncio.sleep(600)
    await asyncio.wait_for(backend.close(), 600)
    ends = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 600)
    _say({"ends": sorted({type(end).__name__ for end in ends})})


async def _drawn(backend: VLLMBackend, request: Request) -> int:
    return sum([len(delta.token_ids) async for delta in backend.generate(request)])


def _say(content: dict[str, Any]) -> None:
    print("said " + json.dumps(content), flush=True)


if __name__ == "__main__":
    started = VLLMBackend(str(MODEL), kv_cache_memory_bytes=1 << 28, max_num_seqs=16)
    asyncio.run(use(started, sys.argv[1]))
