"""All tree methods against best-of-N at equal sampled tokens, with and without a process reward model.

    python -m bench.tree_methods --out FOLDER [--problems 60] [--widths 4 16 64] [--suites countdown]
                                 [--slack 1.5] [--only NAME ...] [--table] [--json]

Every method runs at each width under a limit of SLACK times the tokens that best-of-N of that width takes on average
over problems: where these differ in length (arithmetic), it must be large, or searches on long ones are cut. A method
is compared with best-of-N at the tokens that it really spent, averaged over the problems: the expected accuracy of that
many samples out of a pool of 96, read between whole numbers of samples. With a reward model both answer with the
solution that the bundled scorer prefers; without one both vote. Differences are paired by problem, with 95 % intervals
by a bootstrap over problems. Widths above 16 have a third of the problems.

Where a method has settings, they are chosen at the smallest width, on problems of another seed, half as many (the
largest gain over best-of-N counts), and reported on problems that nothing was chosen on. Every run is a file in
FOLDER: the same command continues where it was stopped. `--table` prints what is there and runs nothing.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import widthwise as ww
from bench.paired_row import Gap, PairedRow, code, mean_tokens, print_rows
from bench.stored_runs import finished, slug
from widthwise.evals.measure.pools import SamplePool
from widthwise.evals.store.outcome import Outcome

CHOOSING, REPORTING = 8, 7
"""Seeds of the problems on which settings are chosen, and of those on which figures are reported."""
POOL = 96
SCORERS = {"quantities": "quantities"}
"""The bundled reward model of a suite, where it is not the scorer."""
PRM, VOTE = "best_by(score='score')", "majority_vote()"
BEST, MAJORITY = "best:reward_model", "maj"
FREE = "by='mean_logprob'"

WITH_PRM = {
    "beam_search": ("beam_search(n={n})", "beam_search(n={n}, lookahead=1)"),
    "dvts": ("dvts(n={n})",),
    "rebase": ("rebase(n={n})", "rebase(n={n}, balance=1.0)"),
    "ets": ("ets(n={n})", "ets(n={n}, balance=1.0)"),
    "best_first_search": ("best_first_search(n={n})",),
    "mcts": ("mcts(n={n})", "mcts(n={n}, rollout=True)", "mcts(n={n}, rule='puct', rollout=True)"),
    "particle_filter": ("particle_filter(n={n})", "particle_filter(n={n}, link='identity')"),
    "particle_gibbs": ("particle_gibbs(n={n})",),
    "entropic_particle_filter": ("entropic_particle_filter(n={n})",),
    "entropy_gated_branching": tuple(f"entropy_gated_branching(n={{n}}, threshold={t})" for t in (0.5, 1.0)),
    "ab_mcts": ("ab_mcts(n={n})",),
}
WITHOUT = {
    "beam_search": (f"beam_search(n={{n}}, {FREE})",),
    "rebase": (f"rebase(n={{n}}, {FREE})",),
    "mcts": (f"mcts(n={{n}}, rollout=True, {FREE})",),
    "best_first_search": (f"best_first_search(n={{n}}, {FREE})",),
    "entropy_gated_branching": tuple(f"entropy_gated_branching(n={{n}}, threshold={t}, {FREE})" for t in (0.5, 1.0)),
    "ab_mcts": (f"ab_mcts(n={{n}}, {FREE})",),
    "tree_of_thoughts": ("tree_of_thoughts(n={n})",),
}


HEADS = ("suite", "PRM", "width", "strategy", *Gap.HEADS, "N")


@dataclass(frozen=True, slots=True)
class Row(PairedRow):
    """One method at one width; ``samples`` is how many of best-of-N, the baseline, take as many tokens."""

    suite: str
    prm: bool
    width: int
    strategy: str
    problems: int
    samples: float

    @property
    def cells(self) -> list[str]:
        setting = [self.suite, "yes" if self.prm else "no", str(self.width), code(self.strategy)]
        return [*setting, *self.gap.cells, f"{self.samples:.1f}"]


@dataclass(frozen=True)
class Bench:
    """Where runs are stored, and on how many problems methods are compared."""

    folder: Path
    problems: int
    slack: float = 1.5
    runs_nothing: bool = False

    def outcomes(self, suite: str, seed: int, strategy: str, problems: int) -> list[Outcome] | None:
        """The outcomes of a strategy in the order of the problems; None if it was not run to its end."""
        file = self.folder / f"{suite}-{seed}-{problems}-{slug(strategy)}.db"
        if not self.runs_nothing:
            print(f"{suite}, {problems} problems: {strategy}", file=sys.stderr, flush=True)
            spec = f"{suite}(n={self.problems}, seed={seed})"
            judge = SCORERS.get(suite, "scorer")
            ww.evaluate(strategy, spec, limit=problems, reward_model=judge, run=file, concurrency=32)
        return finished(file, problems)

    @cache  # noqa: B019
    def pools(self, suite: str, seed: int) -> tuple[SamplePool, ...] | None:
        """The samples of best-of-N with their scores, one pool per problem."""
        strategy = f"best_of_n(n={POOL}) | best_by(score='reward_model')"
        if self.outcomes(suite, seed, strategy, problems := self.share(seed, 4)) is None:
            return None
        file = self.folder / f"{suite}-{seed}-{problems}-{slug(strategy)}.db"
        return ww.curve(file, methods=(BEST, MAJORITY)).pools

    def share(self, seed: int, width: int) -> int:
        """How many problems a width gets."""
        return self.problems // (2 if seed == CHOOSING else 3 if width > 16 else 1)

    def row(self, suite: str, seed: int, template: str, width: int, *, prm: bool) -> Row | None:
        """One method at one width; None if runs are missing."""
        pools, problems = self.pools(suite, seed), self.share(seed, width)
        if pools is None:
            return None
        limit = math.ceil(self.slack * width * float(np.mean([pool.tokens.mean() for pool in pools])))
        tree = template.format(n=width)
        found = self.outcomes(suite, seed, f"{tree} | budget(tokens={limit}) | {PRM if prm else VOTE}", problems)
        if found is None:
            return None
        mine = [pool for pool in pools if pool.problem in {each.problem.id for each in found}]
        samples, base = _at_equal_tokens(mine, mean_tokens(found), BEST if prm else MAJORITY)
        return Row(Gap.of(found, base), suite, prm, width, tree, problems, samples)


def _at_equal_tokens(pools: Sequence[SamplePool], spent: float, method: str) -> tuple[float, Any]:
    """How many samples of best-of-N cost ``spent`` tokens, and its expected score on each problem with as many."""
    from widthwise.evals.measure.curves import method as named

    each = float(np.mean([pool.tokens.mean() for pool in pools]))
    samples = min(max(spent / each, 1.0), float(min(map(len, pools))))
    curves = [named(method).estimate(pool, 0).value for pool in sorted(pools, key=lambda pool: pool.problem)]
    return samples, np.array([np.interp(samples, np.arange(1, len(curve) + 1), curve) for curve in curves])


def chosen(bench: Bench, suite: str, settings: Sequence[str], width: int, *, prm: bool) -> str | None:
    """The setting with the largest gain over best-of-N on the other half; None if runs are missing."""
    if len(settings) == 1:
        return settings[0]
    tried = [(bench.row(suite, CHOOSING, setting, width, prm=prm), setting) for setting in settings]
    if any(row is None for row, _ in tried):
        return None
    return max(tried, key=lambda each: -math.inf if each[0] is None else each[0].gap.difference)[1]


def rows(bench: Bench, suites: Sequence[str], widths: Sequence[int], only: Sequence[str] | None) -> Iterator[Row]:
    """All rows, narrow widths first: what has been measured so far is a table at any time."""
    for width in widths:
        for suite in suites:
            for prm, methods in ((True, WITH_PRM), (False, WITHOUT)):
                for name, settings in methods.items():
                    if only and name not in only:
                        continue
                    setting = chosen(bench, suite, settings, min(widths), prm=prm)
                    if setting and (row := bench.row(suite, REPORTING, setting, width, prm=prm)):
                        yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of run files")
    parser.add_argument("--problems", type=int, default=60)
    parser.add_argument("--widths", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--suites", nargs="+", default=["countdown"])
    parser.add_argument("--slack", type=float, default=1.5, help="the token limit, in those of best-of-N")
    parser.add_argument("--only", nargs="+", help="names of methods")
    parser.add_argument("--table", action="store_true", help="run nothing, print what is there")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(options.out, options.problems, options.slack, options.table)
    print_rows(HEADS, rows(bench, options.suites, options.widths, options.only), as_json=options.json)


if __name__ == "__main__":
    main()
