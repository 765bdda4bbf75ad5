"""The headline effects of published methods on the wind tunnels: what the papers report, and what shows here.

    python -m bench.effects RUNS [--suite quantities] [--model MODEL] [--reward-model MODEL] [--problems 500]
                                 [--choosing 100] [--only NAME ...] [--table] [--json] [--figure FILE.svg]

An effect compares a method with its baseline. Settings are chosen on problems of one seed and reported on those of
another. Among the settings whose accuracy on the first is within the effect's margin of the baseline's by its whole
interval, the one that saves most is chosen (if there is none, or the effect is a gain, the most accurate). Every run is
a file in RUNS, shared by the effects that need it, so the same command continues where it was stopped; `--table` prints
the table of `docs/effects.md` from what is there and runs nothing.

Ratios are of costs summed over the problems, with 95 % intervals bootstrapped by problem; differences of accuracy are
paired by problem, in points. Exit status 1 if an effect that was measured missed its bar.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bench.effects_figure import Panel, draw
from bench.stored_runs import finished, slug
from widthwise.core.session.ledger import Ledger
from widthwise.evals.measure.intervals import Difference, paired
from widthwise.evals.store.outcome import Outcome
from widthwise.evals.views.plots import save

CHOOSING, REPORTING = 8, 7
"""Seeds of the problems on which settings are chosen, and of those on which figures are reported."""
BY_SCORE = "weighted_vote(by='score', weight='identity')"
BY_REWARD = "weighted_vote(by='reward_model', weight='identity')"
VOTE = "best_of_n(n=64) | majority_vote()"
ROOM = 320
"""Tokens of the drafts that a refining prompt shows: the bundled model reads prompts of up to 1,024 with its answer."""
REPLICATES = 2000


def kv(ledger: Ledger) -> float:
    """Unique tokens that the rounds of a search continue, summed: the figure in the paper of ETS."""
    return ledger.kv_rounds


def tokens(ledger: Ledger) -> float:
    """Generated tokens, including judges' replies."""
    return ledger.total


def path(ledger: Ledger) -> float:
    """Sequential tokens."""
    return ledger.sequential


COSTS = {kv: "times fewer KV tokens", tokens: "times fewer tokens", path: "times shorter critical path"}


@dataclass(frozen=True, slots=True)
class Effect:
    """A claim, and how it is tested.

    ``saves`` names the cost that the method divides by ``bar``, at an accuracy that is at most ``margin`` points lower;
    without it the method gains ``bar`` points. ``reported`` are the least and the most that the paper reports in the
    same unit, None if it reports none. A method that only stops samples ``replays`` those of the baseline, which
    record log-probabilities for it, and ``which`` says which problems of the suite the effect is about.
    """

    name: str
    paper: str
    published: str
    baseline: str
    methods: tuple[str, ...]
    bar: float
    saves: Callable[[Ledger], float] | None = None
    margin: float = 2.0
    scored: bool = False
    reported: tuple[float, float] | None = None
    replays: bool = False
    which: str = ""

    @property
    def unit(self) -> str:
        """What a figure of this effect counts."""
        return COSTS[self.saves] if self.saves else "points gained"


def efficient_tree_search() -> Effect:
    """ETS holds fewer tokens than REBASE."""
    return Effect(
        "ets", "arXiv 2502.13575", "1.8 times fewer KV tokens than REBASE, accuracy nearly equal",
        f"rebase(n=64, balance=1.0) | {BY_SCORE}",
        tuple(f"ets(n=64, balance=1.0, cost={c}, coverage=0.0) | {BY_SCORE}" for c in (0.5, 0.75, 1.0, 2.0)),
        bar=1.8, saves=kv, scored=True, reported=(1.8, 1.8),
    )  # fmt: skip


def tree_search() -> Effect:
    """A tree grown by scores answers better than a weighted vote over whole samples of the same width."""
    trees = ("rebase(n=64)", "rebase(n=64, balance=1.0)", "dvts(n=64)", "beam_search(n=64)",
             "tree_search(n=64, select=distinct_steps() | softmax_balanced(temperature=0.5))")  # fmt: skip
    return Effect(
        "tree", "arXiv 2408.00724", "more accurate than sampling at every budget",
        f"best_of_n(n=64) | {BY_REWARD}", tuple(f"{tree} | {BY_SCORE}" for tree in trees), bar=3.0, scored=True,
    )  # fmt: skip


def deep_confidence() -> Effect:
    """DeepConf stops samples that the model is unsure of."""
    grid = product((8, 16), (16, 32, 64), (10.0, 50.0, 90.0))
    return Effect(
        "deepconf", "arXiv 2508.15260", "18 to 85 % fewer tokens than the vote at equal or better accuracy", VOTE,
        tuple(
            f"best_of_n(n=64, width=8) | deepconf(warmup={first}, window={window}, eta={eta}) | majority_vote()"
            for first, window, eta in grid
        ),
        bar=1 / 0.6, saves=tokens, reported=(1 / (1 - 0.18), 1 / (1 - 0.85)), replays=True,
    )  # fmt: skip


def deep_pruning() -> Effect:
    """DeepPrune stops samples that will end in an answer that already exists."""
    grid = [(at, keep) for at in (48, 64, 96) for keep in (8, 16)]
    return Effect(
        "deepprune", "arXiv 2510.08483", "65.7 to 88.5 % fewer tokens than the vote within 3.4 points", VOTE,
        tuple(f"best_of_n(n=64) | deepprune(at={at}, keep={keep}) | majority_vote()" for at, keep in grid),
        bar=1 / 0.35, saves=tokens, margin=3.0, reported=(1 / (1 - 0.657), 1 / (1 - 0.885)),
    )  # fmt: skip


def refining() -> Effect:
    """Rounds of drafts that are distilled and refined answer better than one round of the same width."""
    ways = ("'random_k', k=2", "'top_k', k=2, by='mean_logprob'")  # notes are written on more drafts than fit
    rounds = [f"parallel_distill_refine(drafts=(16, 16), distill={how}, workspace_tokens={ROOM}) | majority_vote()"
              for how in ways]  # fmt: skip
    aggregated = (
        f"recursive_self_aggregation(population=8, group=2, loops=3, workspace_tokens={ROOM}) | majority_vote()"
    )
    return Effect(
        "refine", "arXiv 2510.01123, arXiv 2509.26626", "+11 and +9 points on AIME 2024 and 2025 over a single pass",
        "best_of_n(n=32) | majority_vote()",
        (*rounds, aggregated), bar=5.0, reported=(9.0, 11.0),
    )  # fmt: skip


def threads() -> Effect:
    """Threads shorten the critical path of problems that have independent parts."""
    return Effect(
        "threads", "arXiv 2504.15466, arXiv 2512.07843", "75.2 against 57.3 % at equal latency (countdown)",
        "single()", tuple(f"threads(width={width})" for width in (2, 4, 8)), bar=2.0, saves=path, margin=0.0,
        which="levels=(14, 16), wide=True",
    )  # fmt: skip


EFFECTS = (efficient_tree_search, tree_search, deep_confidence, deep_pruning, refining, threads)


# --- Running ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bench:
    """Where runs are stored, and what they evaluate."""

    runs: Path
    suite: str
    problems: int
    choosing: int
    model: str
    reward_model: str
    runs_nothing: bool = False

    def outcomes(self, effect: Effect, strategy: str, seed: int) -> list[Outcome] | None:
        """The outcomes of a strategy on the problems of a seed; None if it was not run to its end."""
        number = self.choosing if seed == CHOOSING else self.problems
        spec = f"{self.suite}(n={number}, seed={seed}{effect.which and f', {effect.which}'})"
        file = self._file(spec, strategy)
        if not self.runs_nothing:
            replayed = self._file(spec, effect.baseline) if effect.replays and strategy != effect.baseline else None
            words = ["--strategy", strategy, "--run", str(file)]
            words += ["--model", f"replay:{replayed}" if replayed else self.model]
            words += ["--logprobs", "20"] if strategy == VOTE else []
            words += ["--reward-model", self.reward_model] if effect.scored else []
            subprocess.run([sys.executable, "-m", "widthwise", "eval", spec, *words], check=True)
        return finished(file, number)

    def _file(self, spec: str, strategy: str) -> Path:
        return self.runs / f"{slug(spec)}-{slug(strategy)}.db"


# --- Measuring ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """A method against its baseline: accuracies in per cent, their paired difference in points, the ratio of costs."""

    strategy: str
    baseline: float
    accuracy: float
    difference: Difference
    ratio: tuple[float, float, float] | None

    @classmethod
    def of(cls, effect: Effect, strategy: str, method: Sequence[Outcome], base: Sequence[Outcome]) -> Found:
        one, other = (np.array([100.0 * bool(each.correct) for each in run]) for run in (method, base))
        ratio = None
        if effect.saves:
            costs = [np.array([effect.saves(each.ledger) for each in run], np.float64) for run in (base, method)]
            ratio = ratio_of(*costs)
        return cls(strategy, float(other.mean()), float(one.mean()), paired(one, other), ratio)

    def panel(self, effect: Effect) -> Panel:
        """This effect as a part of the figure."""
        gap = self.difference
        here = self.ratio or (gap.mean, gap.low, gap.high)
        return Panel(effect.name, effect.unit, effect.reported, here, effect.bar)

    def reaches(self, effect: Effect) -> bool:
        """Whether the bar is reached: the ratio at an accuracy whose interval is above the margin, or the gain."""
        if self.ratio is None:
            return self.difference.mean >= effect.bar
        return self.ratio[0] >= effect.bar and self.difference.low >= -effect.margin


def ratio_of(base: Any, method: Any) -> tuple[float, float, float]:
    """The ratio of two costs summed over problems, with its interval: problems are drawn with replacement."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(base), (REPLICATES, len(base)))
    low, high = np.quantile(base[drawn].sum(axis=1) / method[drawn].sum(axis=1), (0.025, 0.975))
    return float(base.sum() / method.sum()), float(low), float(high)


def chosen(effect: Effect, tried: Sequence[Found]) -> Found:
    """The setting to report: the largest saving among those that are surely within the margin, else the most accurate.

    A saving within the margin by luck is what few problems would choose, so the whole interval has to be within it.
    """
    near = [each for each in tried if each.difference.low >= -effect.margin]
    if effect.saves and near:
        return max(near, key=lambda each: each.ratio or (0.0, 0.0, 0.0))
    return max(tried, key=lambda each: (each.accuracy, each.ratio or (0.0, 0.0, 0.0)))


def measure(effect: Effect, bench: Bench) -> Found | None:
    """Choose on one half and report on the other; None if runs are missing."""
    base = bench.outcomes(effect, effect.baseline, CHOOSING)
    tried = [(strategy, bench.outcomes(effect, strategy, CHOOSING)) for strategy in effect.methods]
    if base is None or not all(found for _, found in tried):
        return None
    best = chosen(effect, [Found.of(effect, strategy, found or [], base) for strategy, found in tried])
    base = bench.outcomes(effect, effect.baseline, REPORTING)
    method = bench.outcomes(effect, best.strategy, REPORTING)
    return None if base is None or method is None else Found.of(effect, best.strategy, method, base)


def rows(effects: Sequence[Effect], results: Sequence[Found | None]) -> Iterator[str]:
    """The table of `docs/effects.md`."""
    yield "| effect | published | here | accuracy, points | setting |"
    yield "|---|---|---|---|---|"
    for effect, found in zip(effects, results, strict=True):
        if found is None:
            yield f"| {effect.name} ({effect.paper}) | {effect.published} | not measured | | |"
            continue
        gap = found.difference
        saved = "" if found.ratio is None else "{:.2f} times ({:.2f}-{:.2f})".format(*found.ratio)
        points = f"{gap.mean:+.1f} ({gap.low:+.1f} to {gap.high:+.1f})"
        here = saved or f"{found.accuracy:.1f} against {found.baseline:.1f} %"
        setting = found.strategy.replace("|", "\\|")
        yield f"| {effect.name} ({effect.paper}) | {effect.published} | {here} | {points} | `{setting}` |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of run files")
    parser.add_argument("--suite", default="quantities")
    parser.add_argument("--problems", type=int, default=500, help="problems that figures are reported on")
    parser.add_argument("--choosing", type=int, default=100, help="others, on which settings are chosen")
    parser.add_argument("--model", default="embedded:quantities")
    parser.add_argument("--reward-model", default="quantities")
    parser.add_argument("--only", nargs="+", help="names of effects")
    parser.add_argument("--table", action="store_true", help="run nothing, print what is there")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--figure", type=Path, help="draw what was measured, as SVG, PNG or PDF")
    options = parser.parse_args()
    options.runs.mkdir(parents=True, exist_ok=True)
    bench = Bench(
        options.runs, options.suite, options.problems, options.choosing, options.model, options.reward_model,
        runs_nothing=options.table,
    )  # fmt: skip
    effects = [effect for effect in (make() for make in EFFECTS) if not options.only or effect.name in options.only]
    results = [measure(effect, bench) for effect in effects]
    met = [None if found is None else found.reaches(effect) for effect, found in zip(effects, results, strict=True)]
    measured = [found.panel(effect) for effect, found in zip(effects, results, strict=True) if found]
    if options.figure and measured:
        save(draw(measured), options.figure)
    if options.json:
        print(json.dumps({effect.name: reached for effect, reached in zip(effects, met, strict=True)}))
    else:
        print("\n".join(rows(effects, results)))
    return int(False in met)


if __name__ == "__main__":
    sys.exit(main())
