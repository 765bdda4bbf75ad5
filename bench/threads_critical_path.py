"""What threads gain on an engine: N at once against one after another, and how much of their prompts is cached.

A trace with a block of N outlines is built as a model would have written it. Then its N threads are drawn twice from
fresh sessions with the same seed, so that both ways sample the same threads: side by side, and one by one. Medians over
the problems and rounds of: wall-clock of both ways, their ratio, the tokens of all threads over those of the longest
(what the ledger's sequential tokens promise), and the share of the threads' prompt tokens that the engine found in its
cache. Exit status 1 if that share is below 0.9.

    python bench/threads_critical_path.py [--model MODEL] [--threads 8] [--problems 8] [--rounds 3] [--json]

``--model`` is as on the command line; the default is ``vllm:reasoner``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from conclusion import closing, status

from widthwise import Problem, Session, Trace
from widthwise.core.backend import Backend
from widthwise.core.prompting.grammar import Outline
from widthwise.core.prompting.profile import facts_of
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.setting import Setting
from widthwise.evals.suites.suites import load_suite
from widthwise.models.profiles import profile_of
from widthwise.opening import open_backend

GOAL = 0.9
TOKENS = 256
"""Maximum number of tokens of a thread."""


@dataclass(frozen=True)
class Drawn:
    """Threads of one block and the seconds they took."""

    threads: list[Trace]
    seconds: float

    @property
    def cached(self) -> int:
        return sum(t.segment.usage.prompt_cached for t in self.threads if t.segment.usage is not None)

    @property
    def prompts(self) -> int:
        return self.cached + sum(t.segment.usage.prompt_computed for t in self.threads if t.segment.usage is not None)


def origins(session: Session, number: int) -> tuple[Trace, list[Trace]]:
    """A trace that has just spawned ``number`` threads, and the trace that each of them continues."""
    grammar = session.grammar("reasoner")
    outlines = [Outline(str(n), f"{n + 11} - {n} = 11, left 11 {n + 3} {n + 7}") for n in range(1, number + 1)]
    lines = "".join(f"<Outline>{o.number}: {o.text}</Outline>\n" for o in outlines)
    spawner = session.append(session.root, f"{grammar.proposal}{lines}{grammar.spawn}")
    return spawner, [session.append(spawner, [grammar.before, *grammar.headed(o)]) for o in outlines]


async def drawn(backend: Backend, problem: Problem, number: int, seed: int, *, together: bool) -> Drawn:
    setting = Setting(
        Scheduler(backend), load_suite("countdown").grader, profile_of(facts_of(backend)).format, seed=seed
    )
    session = Session(problem, setting)
    spawner, prompts = origins(session, number)
    await session.sample(spawner, max_tokens=1)  # the parent was decoded just now, so its cache is there
    began = time.perf_counter()
    if together:
        threads = await session.sample(prompts, max_tokens=TOKENS, stop="</Thread>")
    else:
        threads = [t for p in prompts for t in await session.sample(p, max_tokens=TOKENS, stop="</Thread>")]
    return Drawn(threads, time.perf_counter() - began)


async def measure(backend: Backend, problems: Sequence[Problem], number: int, rounds: int) -> dict[str, Any]:
    pairs = []
    for seed in range(rounds):
        for place, problem in enumerate(problems):
            order = (True, False) if (seed + place) % 2 else (False, True)
            found = {way: await drawn(backend, problem, number, seed, together=way) for way in order}
            pairs.append((found[True], found[False]))
    lengths = [[len(t.segment) for t in together.threads] for together, _ in pairs]
    cached = sum(together.cached for together, _ in pairs) / sum(together.prompts for together, _ in pairs)
    return {
        "threads": number,
        "seconds_together": round(statistics.median(a.seconds for a, _ in pairs), 4),
        "seconds_in_turn": round(statistics.median(b.seconds for _, b in pairs), 4),
        "ratio": round(statistics.median(b.seconds / a.seconds for a, b in pairs), 2),
        "tokens_over_longest": round(statistics.median(sum(row) / max(row) for row in lengths), 2),
        "cached_share_of_prompts": round(cached, 3),
        "goal": GOAL,
        "reached": cached >= GOAL,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="vllm:reasoner")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--problems", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    problems = load_suite("countdown").problems[: chosen.problems]

    async def warmed_up(backend: Backend) -> dict[str, Any]:
        await measure(backend, problems[:1], chosen.threads, 1)
        return await measure(backend, problems, chosen.threads, chosen.rounds)

    async def run() -> dict[str, Any]:
        backend = await open_backend(chosen.model)
        return await closing(backend, warmed_up(backend))

    return status(asyncio.run(run()), chosen.json)


if __name__ == "__main__":
    sys.exit(main())
