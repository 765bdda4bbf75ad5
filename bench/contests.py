"""Contests and their variants with a judge that is right with probability p: how often right, at what cost.

64 samples, 53 % of them right, the others one of 16 wrong answers. "paper" is an independent implementation of the
algorithm in tests/aggregators/test_contests_as_published.py.

    python -m bench.contests [--runs 400]
"""

from __future__ import annotations

import argparse
import asyncio
import random
from typing import Any

from tests.aggregators.judges import Judge, asked, trace
from tests.aggregators.test_contests_as_published import SAMPLES, knockout, league, noisy, shown
from widthwise import Knockout, League, MajorityVote, PivotTournament

PARTS: list[Any] = [
    Knockout(k=2),
    Knockout(k=2, skip_equal=True),
    Knockout(k=2, entry="answers"),
    League(),
    League(skip_equal=True),
    League(entry="answers"),
    PivotTournament(k=1),
    PivotTournament(k=1, skip_equal=True),
    MajorityVote(),
]


async def measured(part: Any, p: float, runs: int) -> tuple[float, float]:
    """The share of right answers, and the comparisons per problem."""
    compare = noisy(p, random.Random(p))
    judge = Judge(lambda prompt, index: str(1 + compare(*shown(prompt))))
    right = 0
    for run in range(runs):
        samples = random.Random(run).sample(SAMPLES, len(SAMPLES))
        answer = await part(asked(judge, seed=run), [trace(i, f"= {a}") for i, a in enumerate(samples)])
        right += answer.text == "0"
    return right / runs, len(judge.requests) / runs


def published(p: float, runs: int) -> list[tuple[str, float]]:
    rng = random.Random(p)
    compare = noisy(p, rng)
    knockouts = sum(knockout(SAMPLES, 2, compare, rng) == 0 for _ in range(runs))
    leagues = sum(league(SAMPLES, 4, compare, rng) == 0 for _ in range(runs))
    return [("paper: knockout, k=2", knockouts / runs), ("paper: league, 4 opponents", leagues / runs)]


async def main(runs: int) -> None:
    for p in (0.6, 0.7, 0.8):
        print(f"\nright in {p:.0%} of comparisons; {runs} runs, standard error at most {0.5 / runs**0.5:.1%}")
        for text, share in published(p, runs):
            print(f"  {text:45} {share:6.1%}")
        for part in PARTS:
            share, comparisons = await measured(part, p, runs)
            print(f"  {part.brief():45} {share:6.1%}  {comparisons:6.1f} comparisons")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=400)
    asyncio.run(main(parser.parse_args().runs))
