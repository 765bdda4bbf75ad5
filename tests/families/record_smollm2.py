"""Samples of SmolLM2-135M-Instruct on vLLM: `python -m tests.families.record_smollm2 FILE.json` (a few minutes).

This script recorded `data/smollm2_samples.json`. Each sample was then read, and the answer that it states was written
down (`stated`, null for none), before any code had extracted answers from it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.backends.servers import CPU_ENVIRONMENT
from tests.families.checkpoints import smollm2_weights
from widthwise.core.problem import Problem
from widthwise.solving import solve_async

PROBLEMS = (
    "What is 17 + 25?",
    "What is 9 * 8?",
    "Compute 100 - 37.",
    "What is 144 / 12?",
    "What is 2^6?",
    "Solve for x: x + 5 = 12.",
    "Solve for x: 3x = 21.",
    "A box holds 6 eggs. How many eggs are in 4 boxes?",
    "Tom has 15 apples and gives away 6. How many apples are left?",
    "A train goes 60 miles an hour for 3 hours. How far does it go?",
    "What is half of 50?",
    "What is 10% of 250?",
    "What is 3/4 + 1/4?",
    "What is the area of a square with side 5?",
    "How many sides does a hexagon have?",
    "How many minutes are in 2 hours?",
    "What is the next number: 2, 4, 6, 8?",
    "A shirt costs 20 dollars and is 25% off. What does it cost now?",
    "What is the square root of 81?",
    "Ann is 12 and Bob is 5 years older. How old is Bob?",
    "What is 7 + 8 - 5?",
    "What is the perimeter of a rectangle with sides 3 and 4?",
    "How many days are in 3 weeks?",
    "What is 0.5 * 8?",
    "Is 7 a prime number? If it is, answer 1, and 0 if not.",
)
INSTRUCTIONS = (
    "Please reason step by step, and put your final answer within \\boxed{}.",
    'End your reply with the words "The answer is" and the answer.',
)


async def recorded(folder: Path) -> list[dict[str, Any]]:
    from widthwise.backends.vllm.backend import VLLMBackend

    backend = VLLMBackend(str(folder), dtype="float32", max_model_len=1024, kv_cache_memory_bytes=1 << 28)
    asked = [f"{problem} {instruction}" for problem in PROBLEMS for instruction in INSTRUCTIONS]
    settings: Any = {"max_tokens": 160, "temperature": 0.7, "top_p": 0.95, "prompts": {"solve": "{problem}"}}
    solving = [
        solve_async(Problem(f"p{n}", text), "best_of_n(n=2)", backend, **settings) for n, text in enumerate(asked)
    ]
    results = await asyncio.gather(*solving)
    await backend.close()
    return [
        {"problem": text, "text": trace.completion, "finish": trace.finish, "stated": None}
        for text, result in zip(asked, results, strict=True)
        for trace in result.traces
    ]


if __name__ == "__main__":
    os.environ.update(CPU_ENVIRONMENT)
    with tempfile.TemporaryDirectory() as scratch:
        samples = asyncio.run(recorded(smollm2_weights(Path(scratch) / "model")))
    Path(sys.argv[1]).write_text(json.dumps(samples, indent=1, ensure_ascii=False) + "\n")
