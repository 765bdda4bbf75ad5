"""How fast a vote is over many traces whose answers have been extracted.

    python bench/vote_speed.py [--traces 100000] [--answers 1000]

Prints processor seconds per vote (the best of three, each with a grader that has not seen any answer before) for
answers of several kinds, and the same for ten times as many different answers: a vote is linear in them.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time

import numpy as np

from widthwise.core.answer import AnswerClass, elect, group
from widthwise.core.trace.trace import Segment, Trace
from widthwise.evals.grading import graders, leniency, meaning, understanding, values

SPELLINGS = {
    "integers": ("{0}",),
    "decimals": ("{0}.25",),
    "two spellings each": ("{0}", "{0}.0"),
    "fractions": (r"\frac{{{0}}}{{1009}}",),
    "radicals": (r"{0}+2\sqrt{{{0}}}", r"2\sqrt{{{0}}}+{0}"),
    "tuples with a radical": (r"\left(\sqrt{{{0}}}, \frac{{{0}}}{{7}}\right)",),
    "formulas": (r"\frac{{x^2+{0}x}}{{x}}", "x+{0}"),
}


def forgotten() -> None:
    """Empty every cache of the grader, so that the vote pays for reading the answers."""
    for module in (graders, leniency, meaning, understanding, values):
        for member in vars(module).values():
            if hasattr(member, "cache_clear"):
                member.cache_clear()


async def vote(answers: list[str], traces: list[Trace]) -> tuple[float, int]:
    """Processor seconds and classes of one vote."""
    forgotten()
    begun = time.process_time()
    groups = await group(graders.MathGrader(), answers)
    elect([AnswerClass(answers[g[0]], tuple(traces[i] for i in g), float(len(g))) for g in groups])
    return time.process_time() - begun, len(groups)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=100_000)
    parser.add_argument("--answers", type=int, default=1_000)
    given = parser.parse_args()
    rng = random.Random(1)
    traces = [Trace((0, i), Segment("sampled", np.empty(0, np.int64), "")) for i in range(given.traces)]
    for name, spellings in SPELLINGS.items():
        for count in (given.answers, 10 * given.answers):
            answers = [rng.choice(spellings).format(rng.randrange(2, count + 2)) for _ in range(given.traces)]
            times = [asyncio.run(vote(answers, traces)) for _ in range(3)]
            print(f"{given.traces} traces, {times[0][1]} answers, {name}: {min(times)[0]:.3f} s")


if __name__ == "__main__":
    main()
