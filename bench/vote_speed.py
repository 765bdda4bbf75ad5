"""How fast a vote is over many traces whose answers have been extracted.

    python bench/vote_speed.py [--traces 100000] [--answers 1000]

Prints seconds per vote (the best of three, each with a grader that has seen no answer before), for answers written as
integers, as decimals, and in two spellings each.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from functools import _lru_cache_wrapper
from types import ModuleType

import numpy as np

from widthwise.core.answer import AnswerClass, elect, group
from widthwise.core.trace.trace import Segment, Trace
from widthwise.evals.grading import comparison, normalisation, numerals, structure
from widthwise.evals.grading import graders as grading

SPELLINGS = {
    "integers": ("{}",),
    "decimals": ("{}.25",),
    "two spellings each": ("{}", "{}.0"),
}


def forgotten(modules: tuple[ModuleType, ...] = (comparison, grading, normalisation, numerals, structure)) -> None:
    """Empty every cache of the grader, so that the vote pays for reading the answers."""
    for module in modules:
        for member in vars(module).values():
            if isinstance(member, _lru_cache_wrapper):
                member.cache_clear()


async def vote(answers: list[str], traces: list[Trace]) -> tuple[float, int]:
    """Seconds and classes of one vote."""
    forgotten()
    begun = time.perf_counter()
    groups = await group(grading.MathGrader(), answers)
    elect([AnswerClass(answers[g[0]], tuple(traces[i] for i in g), float(len(g))) for g in groups])
    return time.perf_counter() - begun, len(groups)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=100_000)
    parser.add_argument("--answers", type=int, default=1_000)
    given = parser.parse_args()
    rng = random.Random(1)
    traces = [Trace((0, i), Segment("sampled", np.empty(0, np.int64), "")) for i in range(given.traces)]
    for name, spellings in SPELLINGS.items():
        answers = [rng.choice(spellings).format(rng.randrange(given.answers)) for _ in range(given.traces)]
        times = [asyncio.run(vote(answers, traces)) for _ in range(3)]
        print(f"{given.traces} traces, {times[0][1]} answers, {name}: {min(times)[0]:.3f} s")


if __name__ == "__main__":
    main()
