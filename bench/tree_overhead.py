"""What a tree search costs by itself: a scripted backend that answers at once, trees of 100, 1,000 and 10,000 nodes.

Three searches (beam search, REBASE, ETS with its greedy variant) whose steps and scores cost next to nothing. Two
figures each, the best of several rounds, with the factor by which they grow when the tree grows tenfold:

* ``search``: the search itself (nodes, states, selection, prunings, the cache's account), without the session's draws
  and the reward model;
* ``all``: everything on our side, including the session's draws, seeds, ledgers and traces.

Processor time of this process is measured, so that other work on the machine counts little. Exit status 1 if the search
of a tree of 1,000 nodes costs 50 ms or more, or if a figure grows more than fifteenfold.

    python bench/tree_overhead.py [--rounds 5] [--depth 10] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from widthwise import ETS, REBASE, BeamSearch, Problem, SamplingParams, Session
from widthwise.core.backend import Capabilities, Delta, Request, TokenStats, Usage
from widthwise.core.chat_options import NO_OPTIONS, ChatOptions
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.rewards.reward import Solution, StepScores
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.setting import Setting
from widthwise.core.trace.trace import Trace
from widthwise.samplers.tree_search import TreeSampler

SIZES = (100, 1_000, 10_000)
GOAL_MS = 50.0
GROWTH = 15.0
END, SEPARATOR = 0, 1
STEP = 8  # tokens


class Words:
    """A tokenizer of three words."""

    eos_ids = frozenset({END})
    controls: Mapping[str, int] = {}
    bos_id: int | None = None

    def encode(self, text: str) -> list[int]:
        return [2] * len(text)

    def decode(self, ids: Any) -> str:
        return "".join("\n\n" if i == SEPARATOR else "" if i == END else "x" for i in ids)

    def chat(self, messages: Sequence[Mapping[str, str]], options: ChatOptions = NO_OPTIONS) -> list[int]:
        return [2] * 32


class Instant:
    """Gives every request one step at once; the last one, requested without a stop string, ends the trace."""

    name, max_model_len = "instant", None
    capabilities = Capabilities(deterministic=True)
    tokenizer = Words()

    async def generate(self, request: Request) -> AsyncIterator[Delta]:
        ids = np.full(STEP, 2, np.int64)
        stop = request.params.stop
        ids[-1] = SEPARATOR if stop else END
        stats = TokenStats(np.zeros(STEP, np.float32))
        reason = stop[0] if stop else None
        yield Delta(ids, stats, finish="stop", stop_reason=reason, usage=Usage(len(request.prompt), 0))

    def describe(self) -> Mapping[str, Any]:
        return {}

    async def close(self) -> None: ...


class Alternating:
    """Scores by the running number, so that selectors have something to choose."""

    name, kind = "alternating", "process"

    def __init__(self) -> None:
        self.count = 0

    async def score(self, problem: Problem, solutions: Sequence[Solution]) -> list[StepScores]:
        return [StepScores((*s.known, *(self._next() for _ in s.steps[len(s.known) :]))) for s in solutions]

    def _next(self) -> float:
        self.count += 1
        return 7 * self.count % 11 / 11


class Timed(Session):
    """A session that measures how long its draws and its scoring take."""

    outside = 0.0

    async def sample(self, trace: Trace | Sequence[Trace], n: int = 1, **params: Any) -> list[Trace]:
        began = time.process_time()
        try:
            return await super().sample(trace, n, **params)
        finally:
            self.outside += time.process_time() - began

    async def score(self, traces: Sequence[Trace], *, whole: bool = False) -> list[StepScores]:
        began = time.process_time()
        try:
            return await super().score(traces, whole=whole)
        finally:
            self.outside += time.process_time() - began


def searches(nodes: int, depth: int) -> dict[str, TreeSampler]:
    """Searches whose trees have so many nodes."""
    n = nodes // depth
    limits: dict[str, Any] = {"max_depth": depth}
    return {
        "beam_search": BeamSearch(n, 4, **limits),
        "rebase": REBASE(n, **limits),
        "ets_greedy": ETS(n, coverage=0, greedy=True, **limits),
    }


async def cost(sampler: TreeSampler, nodes: int) -> tuple[float, float]:
    """Milliseconds of the search itself, and of everything."""

    class Nothing:
        name = "none"

        def extract(self, text: str) -> None: ...

    setting = Setting(
        Scheduler(Instant()),
        Nothing(),  # type: ignore[arg-type]
        PromptFormat("plain"),
        params=SamplingParams(),
        width=nodes,
        reward_model=Alternating(),
    )
    session = Timed(Problem("p", "?"), setting)
    began = time.process_time()
    traces = await sampler(session)
    spent = time.process_time() - began
    drawn = sum(trace.segment.origin == "sampled" for trace in session.traces.values())
    if drawn != nodes or len(traces) != sampler.n:
        raise RuntimeError(f"{sampler} drew {drawn} nodes and found {len(traces)} solutions")
    return 1e3 * (spent - session.outside), 1e3 * spent


def measure(sizes: Sequence[int], rounds: int, depth: int) -> dict[str, dict[str, dict[int, float]]]:
    found: dict[str, dict[str, dict[int, float]]] = {}
    for size in sizes:
        for name, sampler in searches(size, depth).items():
            costs = [asyncio.run(cost(sampler, size)) for _ in range(rounds)]
            for what, values in zip(("search", "all"), zip(*costs, strict=True), strict=True):
                found.setdefault(name, {}).setdefault(what, {})[size] = min(values)
    return found


def growth(by_size: Mapping[int, float]) -> list[float]:
    """By what factor each size costs more than the one a tenth of it."""
    sizes = sorted(by_size)
    return [round(by_size[b] / by_size[a], 1) for a, b in pairwise(sizes)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--depth", type=int, default=10, help="steps of a path; a divisor of 100")
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="leave out larger trees")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    sizes = [size for size in SIZES if size <= chosen.largest]
    found = measure(sizes, chosen.rounds, chosen.depth)
    rows = [
        {"search": name, "what": what, **{f"ms_{n}": round(ms, 2) for n, ms in costs.items()}, "growth": growth(costs)}
        for name, kinds in found.items()
        for what, costs in kinds.items()
    ]
    worst = max(kinds["search"][1_000] for kinds in found.values())
    reached = worst < GOAL_MS and all(max(row["growth"]) <= GROWTH for row in rows)
    if chosen.json:
        print(json.dumps({"rows": rows, "goal_ms": GOAL_MS, "reached": reached}))
    else:
        for row in rows:
            print("  ".join(f"{key} {value}" for key, value in row.items()))
        print(f"a tree of 1,000 nodes costs {worst:.1f} ms of search at most (goal: under {GOAL_MS:.0f})")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
