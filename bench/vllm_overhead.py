"""What the toolkit costs on top of vLLM: best_of_n(64) against a bare AsyncLLM loop.

Four ways to draw exactly the same samples from one engine, interleaved, the median of several rounds:

* ``bare``: one task per request around ``AsyncLLM.generate``, as in vLLM's documentation;
* ``backend``: the same requests through ``VLLMBackend``;
* ``best_of_n``: ``best_of_n(n=64)`` on the problems at once through sessions: every request derived, scheduled,
  streamed, charged, kept in the trace tree and decoded;
* ``with_vote``: the same followed by ``majority_vote()``, whose answers are parsed and compared in worker processes. On
  a machine without an accelerator they take the engine's own cores.

Prints tokens per second and the ratios to ``bare``; exit status 1 if one of the first two is below 0.95.

    python bench/vllm_overhead.py [--model FOLDER] [--problems 4] [--rounds 5] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from conclusion import closing, status

from widthwise import Answer, BestOfN, MajorityVote, Problem, Session, Trace, solve_async
from widthwise.backends.vllm.backend import VLLMBackend
from widthwise.core.backend import Delta, Request
from widthwise.evals.suites.suites import load_suite

MODEL = Path(__file__).parents[1] / "models" / "reasoner"
GOAL = 0.95


class Recorder:
    """Passes everything on to a backend and records the requests."""

    def __init__(self, backend: VLLMBackend) -> None:
        self.requests: list[Request] = []
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def generate(self, request: Request) -> AsyncIterator[Delta]:
        self.requests.append(request)
        return self._backend.generate(request)


async def no_vote(_session: Session, traces: Sequence[Trace]) -> Answer:
    return Answer(str(len(traces)))


async def best_of_64(backend: Any, problems: Sequence[Problem], aggregator: Any) -> int:
    """Tokens sampled by one best of 64 on each problem."""
    chosen = BestOfN(64) | aggregator
    results = await asyncio.gather(*(solve_async(p, chosen, backend, max_tokens=256) for p in problems))
    return sum(result.ledger.sampled for result in results)


async def through_backend(backend: VLLMBackend, requests: Sequence[Request]) -> int:
    async def one(request: Request) -> int:
        return sum([len(delta.token_ids) async for delta in backend.generate(request)])

    return sum(await asyncio.gather(*map(one, requests)))


async def bare(backend: VLLMBackend, requests: Sequence[Request]) -> int:
    """The baseline, in the event loop in which the engine was started."""
    return await asyncio.to_thread(backend._thread.call, _bare(backend, requests))


async def _bare(backend: VLLMBackend, requests: Sequence[Request]) -> int:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    async def one(number: int, request: Request) -> int:
        ours = backend._sampling_params(request)
        params = SamplingParams(
            max_tokens=ours.max_tokens,
            temperature=ours.temperature,
            seed=ours.seed,
            logprobs=ours.logprobs,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )
        outputs = backend._engine.generate({"prompt_token_ids": request.prompt.tolist()}, params, f"bare-{number}")
        return sum([len(output.outputs[0].token_ids) async for output in outputs])

    return sum(await asyncio.gather(*(one(i, request) for i, request in enumerate(requests))))


async def measure(backend: VLLMBackend, problems: Sequence[Problem], rounds: int) -> dict[str, list[float]]:
    """Tokens per second of each way, one figure per round; the order alternates from round to round."""
    recorder = Recorder(backend)
    await best_of_64(recorder, problems, MajorityVote())  # also warms up the engine and its prefix cache
    ways: dict[str, Callable[[], Awaitable[int]]] = {
        "bare": lambda: bare(backend, recorder.requests),
        "backend": lambda: through_backend(backend, recorder.requests),
        "best_of_n": lambda: best_of_64(backend, problems, no_vote),
        "with_vote": lambda: best_of_64(backend, problems, MajorityVote()),
    }
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        turn = list(ways)[number % len(ways) :] + list(ways)[: number % len(ways)]
        for name in turn:
            began = time.perf_counter()
            tokens = await ways[name]()
            speeds[name].append(tokens / (time.perf_counter() - began))
    return speeds


def report(speeds: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Medians, and for each way the median over the rounds of its ratio to the bare loop's round."""
    ratios = {
        name: statistics.median(own / bare for own, bare in zip(values, speeds["bare"], strict=True))
        for name, values in speeds.items()
        if name != "bare"
    }
    return {
        "tokens_per_second": {name: round(statistics.median(values)) for name, values in speeds.items()},
        "ratio_to_bare": {name: round(ratio, 3) for name, ratio in ratios.items()},
        "rounds": len(speeds["bare"]),
        "goal": GOAL,
        "reached": min(ratios["backend"], ratios["best_of_n"]) >= GOAL,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--problems", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    longest = sorted(load_suite("arithmetic").problems, key=lambda problem: -len(problem.text))
    problems = longest[: chosen.problems]
    backend = VLLMBackend(chosen.model)

    found = report(asyncio.run(closing(backend, measure(backend, problems, chosen.rounds))))
    return status(found, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
