"""Tree search on vLLM: does the prefix cache hit, and do problems together keep the engine busy?

* ``hits``: prompt tokens that the engine found in its cache, as a share of what an ideal prefix cache shares within
  each problem's tree; and as a share of what whole blocks of that can give (a request never shares its last, partial
  block, which counts for much when a prompt is a few dozen tokens long);
* ``speedup``: wall-clock of the same search one problem at a time, over that of all problems at once; the median over
  rounds whose order alternates, each with its own seeds.

Exit status 1 below 90 % of the hits (of whole blocks) or a speedup of 2.

    python bench/tree_on_vllm.py [--model FOLDER] [--problems 30] [--n 16] [--rounds 2] [--json]

The steps are scored by their mean log-probability, so that only the policy's engine is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conclusion import closing, status

from widthwise import BeamSearch, Problem, Result, solve_async
from widthwise.backends.vllm.backend import VLLMBackend
from widthwise.evals.suites.suites import load_suite
from widthwise.evals.views.search_tree import SearchTree

MODEL = Path(__file__).parents[1] / "models" / "reasoner"
GOAL_HITS, GOAL_SPEEDUP = 0.90, 2.0


async def together(backend: Any, problems: Sequence[Problem], search: BeamSearch, seed: int) -> list[Result]:
    return await asyncio.gather(*(solve_async(p, search, backend, seed=seed) for p in problems))


async def one_by_one(backend: Any, problems: Sequence[Problem], search: BeamSearch, seed: int) -> list[Result]:
    return [await solve_async(p, search, backend, seed=seed) for p in problems]


def shared(result: Result, block: int) -> tuple[int, int]:
    """Prompt tokens that a problem's requests share, ideally and in whole blocks."""
    tree = SearchTree(result.traces)
    lengths = {tree.roots[0].id: len(tree.roots[0].segment)}
    exact = whole = 0
    for trace_id, node in sorted(tree.nodes.items()):
        if node.parent is None:
            continue
        prompt = lengths[node.parent.id]
        lengths[trace_id] = prompt + len(node.segment)
        if trace_id[1:] != (0,):  # the very first request shares nothing
            exact += prompt
            whole += (prompt - 1) // block * block
    return exact, whole


async def measure(backend: Any, problems: Sequence[Problem], search: BeamSearch, rounds: int, block: int) -> Any:
    seconds: dict[str, list[float]] = {"together": [], "one by one": []}
    cached, exact, whole = 0, 0, 0
    await one_by_one(backend, problems[:2], search, seed=10_000)  # the first requests compile
    for number in range(rounds):
        ways = [("together", together), ("one by one", one_by_one)]
        for way, (name, run) in enumerate(ways[:: 1 if number % 2 == 0 else -1]):
            began = time.perf_counter()
            results = await run(backend, problems, search, seed=2 * number + way)
            seconds[name].append(time.perf_counter() - began)
            if name == "together":
                cached += sum(r.ledger.prompt_cached for r in results)
                for a, b in (shared(r, block) for r in results):
                    exact, whole = exact + a, whole + b
    speedup = statistics.median(b / a for a, b in zip(seconds["together"], seconds["one by one"], strict=True))
    return {
        "hits_of_ideal": round(cached / exact, 3),
        "hits_of_whole_blocks": round(cached / max(whole, 1), 3),
        "seconds": {name: [round(s, 2) for s in values] for name, values in seconds.items()},
        "speedup": round(speedup, 2),
        "goals": {"hits": GOAL_HITS, "speedup": GOAL_SPEEDUP},
        "reached": cached >= GOAL_HITS * whole and speedup >= GOAL_SPEEDUP,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--problems", type=int, default=30)
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    problems = sorted(load_suite("arithmetic").problems, key=lambda problem: -len(problem.text))[: chosen.problems]
    search = BeamSearch(chosen.n, by="mean_logprob", max_step_tokens=64, max_depth=12)
    backend = VLLMBackend(chosen.model)
    block = int(backend._engine.vllm_config.cache_config.block_size)

    found = asyncio.run(closing(backend, measure(backend, problems, search, chosen.rounds, block)))
    return status(found, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
