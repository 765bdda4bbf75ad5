"""Contests and their variants with a judge that is right with probability p: how often right, at what cost.

64 samples, 53 % of them right, the others one of 16 wrong answers. "paper" is an independent implementation of the
algorithm in tests/aggregators/test_contests_as_published.py. GenSelect's judge sees a window at once; it names a right
solution with probability p if there is one beside wrong ones, else a wrong one.

    python -m bench.contests [--runs 400] [--only gen_select pivot_tournament ...]
"""

from __future__ import annotations

import argparse
import asyncio
import random
from typing import Any

from tests.aggregators.judges import Judge, asked, trace
from tests.aggregators.test_contests_as_published import SAMPLES, knockout, league, noisy, shown
from tests.aggregators.test_windows import shown as shown_window
from widthwise import GenSelect, Knockout, League, MajorityVote, PivotTournament

PARTS: list[Any] = [
    Knockout(k=2),
    Knockout(k=2, skip_equal=True),
    Knockout(k=2, entry="answers"),
    League(),
    League(skip_equal=True),
    League(entry="answers"),
    PivotTournament(k=1),
    PivotTournament(k=1, skip_equal=True),
    GenSelect(),
    GenSelect(decide="tournament"),
    MajorityVote(),
]


def chosen(window: list[int], p: float, rng: random.Random) -> int:
    """The number of a right candidate of a window with probability ``p``, else of a wrong one, counted from 1."""
    right = rng.random() < p
    return rng.choice([i for i, answer in enumerate(window, 1) if (answer == 0) == right] or range(1, 1 + len(window)))


async def measured(part: Any, p: float, runs: int) -> tuple[float, float]:
    """The share of right answers, and the judge's replies per problem."""
    rng = random.Random(p)
    compare = noisy(p, rng)

    def says(prompt: str, index: int) -> str:
        if isinstance(part, GenSelect):
            return f"Judgment: {chosen([int(text.split('=')[1]) for text in shown_window(prompt)], p, rng)}"
        return str(1 + compare(*shown(prompt)))

    judge = Judge(says)
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


async def main(runs: int, only: list[str] | None) -> None:
    for p in (0.6, 0.7, 0.8):
        print(f"\nright in {p:.0%} of comparisons; {runs} runs, standard error at most {0.5 / runs**0.5:.1%}")
        for text, share in [] if only else published(p, runs):
            print(f"  {text:45} {share:6.1%}")
        for part in PARTS:
            if only and part.brief().split("(")[0] not in only:
                continue
            share, comparisons = await measured(part, p, runs)
            print(f"  {part.brief():45} {share:6.1%}  {comparisons:6.1f} questions")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names of contests")
    options = parser.parse_args()
    asyncio.run(main(options.runs, options.only))
