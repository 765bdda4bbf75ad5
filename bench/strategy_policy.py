"""What policies are worth that may have a problem go on with a search: a figure in `docs/measured.md`.

    python -m bench.strategy_policy RUNS [--samples 4] [--orders 10] [--json]

RUNS is the folder of `python -m bench.tree_methods --out RUNS --suites arithmetic --slack 4 --widths 4 16`; what is not
there yet is run, and the same command continues where it was stopped. 60 problems have a pool of 96 samples each, and
the run of every search that needs no reward model, at both widths. A pool of tokens is what N samples of every problem
take on average. Policies tell difficulty from the entropy of two probes. Each is fitted on one half of the problems and
used on the other, which has a pool of its own, so that every problem counts once. They may choose samples alone, or all
searches, too, or the one that is best on the half on which they are fitted, of those that cost no more than eight
samples. Differences from best-of-N are paired by problem, with 95 % intervals bootstrapped over problems. After the
table stands which searches the policies chose on each half, and for how many of its problems (averaged over orders).
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.allocation import joined, points
from bench.tree_methods import POOL, REPORTING, VOTE, WITHOUT, Bench, chosen
from widthwise.core.strategy.composition import parse_strategy
from widthwise.evals.allocation.allocators import Allocator, ExpectedGain, Fitted
from widthwise.evals.allocation.alternatives import Answers
from widthwise.evals.allocation.comparison import everywhere, pool_of
from widthwise.evals.allocation.fitting import fit
from widthwise.evals.allocation.policy import alternative_of
from widthwise.evals.allocation.prospect import Prospect
from widthwise.evals.allocation.study import NO_ANSWERS, Shared, evenly, shared_out
from widthwise.evals.allocation.suite_budget import Grant, SuiteBudget
from widthwise.evals.measure.answered import Answered
from widthwise.evals.measure.intervals import paired
from widthwise.evals.measure.sample_pool import SamplePool
from widthwise.samplers.best_of_n import BestOfN

SUITE, PROBLEMS, SLACK, WIDTHS = "arithmetic", 60, 4.0, (4, 16)
STRATEGY = parse_strategy(f"best_of_n(n={POOL}) | {VOTE}")
MULTIPLES = (1, 2, 3, 4)
PROBES = 2


class Runs:
    """The samples and the searches, as they are stored; what is missing is run."""

    def __init__(self, folder: Path) -> None:
        self._kept, self._drawing = (Bench(folder, PROBLEMS, SLACK, stored) for stored in (True, False))
        self.pools: Sequence[SamplePool] = self._kept.pools(SUITE, REPORTING) or self._drawn_pools()

    def _drawn_pools(self) -> Sequence[SamplePool]:
        if (pools := self._drawing.pools(SUITE, REPORTING)) is None:
            raise SystemExit("some problems failed: run the command again")
        return pools

    def searches(self) -> Answers:
        """What every search made of every problem, at each width with its setting of the table."""
        return dict(self._search(template, width) for template in self._settings() for width in WIDTHS)

    def _settings(self) -> Iterator[str]:
        for settings in WITHOUT.values():
            found = chosen(self._kept, SUITE, settings, WIDTHS[0], prm=False)
            yield found or chosen(self._drawing, SUITE, settings, WIDTHS[0], prm=False) or settings[0]

    def _search(self, template: str, width: int) -> tuple[str, dict[str, list[Answered]]]:
        limit = math.ceil(SLACK * width * float(np.mean([pool.tokens.mean() for pool in self.pools])))
        tree = template.format(n=width)
        asked = (SUITE, REPORTING, f"{tree} | budget(tokens={limit}) | {VOTE}", PROBLEMS)
        outcomes = self._kept.outcomes(*asked) or self._drawing.outcomes(*asked)
        if outcomes is None:
            raise SystemExit(f"some problems failed for {tree}: run the command again")
        answered = {outcome.problem.id: [Answered.of(outcome, {})] for outcome in outcomes}
        return str(alternative_of(f"{tree} | {VOTE}")), answered


def best_search(answers: Answers, half: Sequence[SamplePool]) -> Answers:
    """The search that answers most of a half right, of those that cost at most as much as eight samples."""
    most = 2 * WIDTHS[0] * float(np.mean([pool.tokens.mean() for pool in half]))

    def worth(text: str) -> tuple[bool, float]:
        found = everywhere([answers[text][pool.problem] for pool in half])
        return float(found.tokens.mean()) <= most, float(found.right.mean())

    chosen_one = max(answers, key=worth)
    return {chosen_one: answers[chosen_one]}


_OFFERED: dict[str, Callable[[Answers, Sequence[SamplePool]], Answers]] = {
    "fitted on samples": lambda answers, half: NO_ANSWERS,
    "fitted with all searches": lambda answers, half: answers,
    "fitted with one search": best_search,
}
"""What policies may choose besides samples."""


@dataclass(frozen=True)
class CountingBudget(SuiteBudget):
    """A suite budget that counts with which searches problems ``went_on``, by their text."""

    went_on: Counter[str] = field(default_factory=Counter)

    def next(self, prospects: Sequence[Prospect], sampler: BestOfN, longest: int | None) -> dict[int, Grant]:
        grants = super().next(prospects, sampler, longest)
        self.went_on.update(named(str(g.strategy)) for g in grants.values() if g.strategy is not None)
        return grants


class Halves:
    """Best-of-N and allocators on both halves of the problems."""

    def __init__(self, runs: Runs, n: int, orders: int) -> None:
        self.pools, self.answers, self.n, self.orders = runs.pools, runs.searches(), n, orders
        self.halves = self.pools[::2], self.pools[1::2]

    def rows(self) -> Iterator[dict[str, Any]]:
        base = self.uniform(1)
        for times in MULTIPLES:
            yield row(f"best_of_n(n={self.n * times})", self.uniform(times), base)
        pools = [pool for half in self.halves for pool in half]
        for text, known in self.answers.items():
            yield row(named(text), everywhere([known[pool.problem] for pool in pools]), base)
        yield row("expected_gain", self.shared([ExpectedGain(PROBES)] * 2)[0], base)
        for name, known in _OFFERED.items():
            others = self.halves[::-1]
            found, went_on = self.shared([self.fitted(half, known(self.answers, half)) for half in others])
            yield row(name, found, base) | {"went_on": went_on}

    def uniform(self, times: int) -> Shared:
        return joined([evenly(half, self.n * times, STRATEGY, orders=self.orders) for half in self.halves])

    def fitted(self, half: Sequence[SamplePool], answers: Answers) -> Allocator:
        return Fitted.of(fit(half, [VOTE], answers=answers, probes=PROBES, orders=self.orders), "policy.json")

    def shared(self, allocators: Sequence[Allocator]) -> tuple[Shared, list[dict[str, float]]]:
        """Each half shared out by its allocator, and how many problems of each half went on with which search."""
        parts, went_on = [], []
        for half, allocator in zip(self.halves, allocators, strict=True):
            budget = CountingBudget(pool_of(half, self.n), allocator)
            parts.append(shared_out(half, budget, STRATEGY, answers=self.answers, orders=self.orders))
            went_on.append({text: count / self.orders for text, count in budget.went_on.most_common()})
        return joined(parts), went_on


def named(text: str) -> str:
    """A search as the table names it, without its aggregator."""
    return parse_strategy(text).brief().partition(" | ")[0]


def row(method: str, found: Shared, base: Shared) -> dict[str, Any]:
    gap = paired(found.right, base.right)
    figures = {"accuracy": float(found.right.mean()), "tokens": float(found.tokens.sum())}
    return {"method": method, **figures, "difference": gap.mean, "low": gap.low, "high": gap.high}


def line(r: dict[str, Any]) -> str:
    return f"| `{r['method']}` | {100 * r['accuracy']:.1f} | {points(r)} | {r['tokens']:,.0f} |"


def choices(r: dict[str, Any]) -> Iterator[str]:
    """What the policies of a row chose on each half."""
    for number, half in enumerate(r.get("went_on", []), 1):
        said = ", ".join(f"`{search}` for {problems:.1f}" for search, problems in half.items())
        yield f"{r['method']}, half {number}: {said or 'samples alone'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--samples", type=int, default=4, help="N")
    parser.add_argument("--orders", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    asked.runs.mkdir(parents=True, exist_ok=True)
    found = list(Halves(Runs(asked.runs), asked.samples, asked.orders).rows())
    if asked.json:
        print(json.dumps(found))
        return
    print("| method | accuracy | against best-of-N, points | tokens |\n|---|---|---|---|")
    for each in found:
        print(line(each))
    print()
    for said in (said for each in found for said in choices(each)):
        print(said)


if __name__ == "__main__":
    main()
