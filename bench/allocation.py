"""What a pool of tokens buys when it is shared out by need: the figure in `docs/measured.md`.

    python bench/allocation.py RUNS [--samples 8] [--orders 20] [--json]

Problems of arithmetic and countdown are mixed: from two operations, and three numbers, to ten and four. Their samples
are drawn once with the bundled models, 64 a problem, into run files in RUNS (the same command continues where it was
stopped), and everything else replays them in random orders. Best-of-N takes N samples of every problem; an allocator
gets the tokens that this takes on average.

The problems are halved. An allocator's settings are chosen on one half and used on the other, which has a pool of its
own, and then the other way round, so that every problem counts once. Differences are paired by problem, with 95 %
intervals bootstrapped over problems. Exit status 1 if, with scores, `expected_gain` with the tokens of N is not within
1.5 points of best-of-3N (the interval's lower bound), or if N says nothing: best-of-N is less than 5 points below
best-of-4N.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import widthwise as ww
from widthwise.core.strategy.composition import parse_strategy
from widthwise.evals.allocation.allocators import Allocator, ExpectedGain, Fitted
from widthwise.evals.allocation.comparison import pool_of
from widthwise.evals.allocation.confidence import chance_score
from widthwise.evals.allocation.fitting import fit
from widthwise.evals.allocation.stored import pools_in
from widthwise.evals.allocation.study import Shared, evenly, shared_out
from widthwise.evals.allocation.suite_budget import SuiteBudget
from widthwise.evals.measure.intervals import paired
from widthwise.evals.measure.sample_pool import SamplePool

BY_REWARD = "weighted_vote(by='reward_model', weight='identity')"
SUITES = {
    "arithmetic.db": "arithmetic(n=150, seed=7)",
    "three.db": "countdown(n=60, seed=7, numbers=3)",
    "four.db": "countdown(n=90, seed=8)",
}
STRATEGIES = (f"best_of_n(n=64) | {BY_REWARD}", "best_of_n(n=64) | majority_vote()")
MULTIPLES = (1, 2, 3, 4)
CHOOSING_ORDERS = 5
MARGIN, GAP = -0.015, 0.05

Pools = Sequence[SamplePool]
Made = Callable[[Pools, ww.Strategy, Path], Allocator]
"""An allocator with one setting, from the half on which it may be fitted."""


def drawn(folder: Path) -> list[SamplePool]:
    """All samples, drawn where they are not there yet."""
    for name, suite in SUITES.items():
        ww.evaluate(STRATEGIES[0], suite, model="reasoner", reward_model="scorer", run=folder / name)
    return pools_in([folder / name for name in SUITES], [parse_strategy(STRATEGIES[0]).aggregator])


def expected(probes: int) -> Made:
    return lambda pools, strategy, folder: ExpectedGain(probes=probes)


def fitted(difficulty: str, probes: int) -> Made:
    def make(pools: Pools, strategy: ww.Strategy, folder: Path) -> Allocator:
        score = chance_score(strategy)
        policy = fit(pools, [str(strategy.aggregator)], difficulty=difficulty, score=score, probes=probes)
        file = folder / f"policy-{difficulty}-{probes}.json"
        policy.write(file)
        return Fitted(policy=str(file))

    return make


def families(strategy: ww.Strategy) -> dict[str, dict[str, Made]]:
    """The settings among which each kind of allocator is chosen."""
    kinds = ("entropy", "score") if chance_score(strategy) else ("entropy",)
    online = {f"probes={n}": expected(n) for n in (1, 2, 3)}
    return {
        "expected_gain": online,
        "fitted": {f"{kind}, probes={n}": fitted(kind, n) for kind in kinds for n in (2, 4)},
    }


class Halves:
    """One strategy at one N, on both halves of the problems."""

    def __init__(self, pools: Pools, strategy: ww.Strategy, n: int, orders: int, folder: Path) -> None:
        self.halves = pools[::2], pools[1::2]
        self.strategy, self.n, self.orders, self.folder = strategy, n, orders, folder

    def uniform(self, times: int) -> Shared:
        """Best-of-N with so many times N samples."""
        return joined([evenly(half, self.n * times, self.strategy, orders=self.orders) for half in self.halves])

    def allocated(self, settings: dict[str, Made]) -> tuple[Shared, list[str]]:
        """An allocator whose setting was chosen on the other half, and the settings."""
        found, chosen = [], []
        for other, half in (self.halves, self.halves[::-1]):
            made = {name: make(other, self.strategy, self.folder) for name, make in settings.items()}
            best = max(made, key=lambda name: self._shared(other, made[name], CHOOSING_ORDERS).right.mean())
            found.append(self._shared(half, made[best], self.orders))
            chosen.append(best)
        return joined(found[::-1]), chosen[::-1]

    def _shared(self, half: Pools, allocator: Allocator, orders: int) -> Shared:
        return shared_out(half, SuiteBudget(pool_of(half, self.n), allocator), self.strategy, orders=orders)


def joined(parts: Sequence[Shared]) -> Shared:
    names = ("right", "samples", "tokens", "money")
    return Shared(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def rows(halves: Halves) -> list[dict[str, Any]]:
    """Uniform sampling and both kinds of allocators, each against best-of-3N."""
    uniform = {times: halves.uniform(times) for times in MULTIPLES}
    made = [row(halves, f"best_of_n(n={halves.n * times})", found, uniform[3]) for times, found in uniform.items()]
    for name, settings in families(halves.strategy).items():
        found, chosen = halves.allocated(settings)
        made.append({**row(halves, name, found, uniform[3]), "chosen": chosen})
    return made


def row(halves: Halves, method: str, found: Shared, against: Shared) -> dict[str, Any]:
    gap = paired(found.right, against.right)
    said = {"strategy": halves.strategy.brief(), "n": halves.n, "method": method}
    figures = {"accuracy": float(found.right.mean()), "tokens": float(found.tokens.sum())}
    spread = {"fewest": float(found.samples.min()), "most": float(found.samples.max())}
    return {**said, **figures, **spread, "difference": gap.mean, "low": gap.low, "high": gap.high}


def missed(found: list[dict[str, Any]]) -> str:
    """Why the bar is missed; empty if it is reached."""
    by = {row["method"]: row for row in found}
    n = found[0]["n"]
    if by[f"best_of_n(n={4 * n})"]["accuracy"] - by[f"best_of_n(n={n})"]["accuracy"] < GAP:
        return f"best-of-{n} is less than {100 * GAP:.0f} points below best-of-{4 * n}"
    low = by["expected_gain"]["low"]
    return "" if low > MARGIN else f"the interval reaches {100 * low:+.2f} points, not above {100 * MARGIN}"


def points(r: dict[str, Any]) -> str:
    """A row's difference in points, with its interval."""
    return f"{100 * r['difference']:+.1f} ({100 * r['low']:+.1f} to {100 * r['high']:+.1f})"


def show(found: list[dict[str, Any]]) -> None:
    print(f"\n{found[0]['strategy']}\n| method | accuracy | against best-of-3N, points | tokens | samples a problem |")
    print("|---|---|---|---|---|")
    for r in found:
        name = f"`{r['method']}`" + (f" ({' and '.join(dict.fromkeys(r['chosen']))})" if "chosen" in r else "")
        spread = f"{r['fewest']:.0f}-{r['most']:.0f}"
        print(f"| {name} | {100 * r['accuracy']:.1f} | {points(r)} | {r['tokens']:,.0f} | {spread} |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--samples", type=int, default=8, help="N")
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    pools, status = drawn(asked.runs), 0
    for text in STRATEGIES:
        found = rows(Halves(pools, parse_strategy(text), asked.samples, asked.orders, asked.runs))
        if asked.json:
            print(json.dumps(found))
        else:
            show(found)
        if reason := missed(found):
            print(f"missed: {reason}", file=sys.stderr)
            status = status or int(text == STRATEGIES[0])
    return status


if __name__ == "__main__":
    sys.exit(main())
