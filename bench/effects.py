"""The headline effects of published methods on the wind tunnels: what the papers report, and what shows here.

    python -m bench.effects RUNS [--suite quantities] [--model MODEL] [--reward-model MODEL] [--problems 500]
                                 [--choosing 100] [--only NAME ...] [--table] [--json] [--figure FILE.svg]

An effect compares a method with its baseline. Settings are chosen on problems of one seed and reported on those of
another. Among the settings that lose no more on the first than the effect's margin, the one that saves most is chosen
(if there is none, or the effect is a gain, the most accurate). Every run is a file in RUNS, shared by the effects that
need it, so the same command continues where it was stopped. What was found is kept in RUNS/NAME.json: effects may be
measured one after another, each on as many problems as there is time for, and `--table` prints them all as in
`docs/effects.md` and runs nothing.

Ratios are of costs summed over the problems, with 95 % intervals bootstrapped by problem; differences of accuracy are
paired by problem, in points. Exit status 1 if an effect that was measured missed its bar.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.effects_figure import Panel, draw
from bench.published_effects import EFFECTS, VOTE, WHOLE, Effect
from bench.stored_runs import finished, slug
from widthwise.evals.measure.intervals import paired
from widthwise.evals.store.outcome import Outcome
from widthwise.evals.views.plots import save

CHOOSING, REPORTING = 8, 7
"""Seeds of the problems on which settings are chosen, and of those on which figures are reported."""
REPLICATES = 2000
AT_ONCE, MEMORY = 3, ("--backend-arg", f"kv_cache_bytes={2 << 30}")
"""Problems that run at once and memory for their prefixes: what is evicted is computed again. No figure depends on it.
"""


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

    def outcomes(self, effect: Effect, strategy: str, seed: int) -> list[Outcome]:
        """The outcomes of a strategy on the problems of a seed; raises RuntimeError if some of them failed."""
        spec, number = self._spec(effect, seed), self._number(seed)
        file = self._file(spec, strategy)
        if finished(file, number) is None:
            words = ["--strategy", strategy, "--run", str(file), "--concurrency", str(AT_ONCE), *effect.limits]
            words += self._models(effect, strategy, seed)
            subprocess.run([sys.executable, "-m", "widthwise", "eval", spec, *words], check=True)
        found = finished(file, number)
        if found is None:
            raise RuntimeError(f"{file}: problems failed; `widthwise traces {file}` says why")
        return found

    def _models(self, effect: Effect, strategy: str, seed: int) -> list[str]:
        """Where samples and scores come from."""
        if strategy == VOTE:
            return ["--model", self.model, *MEMORY, "--logprobs", "20"]
        scored = ["--reward-model", self.reward_model] if effect.scored else []
        scored += ["--embedding-model", self.model] if strategy.startswith("ets(") else []
        if effect.replays and strategy.startswith(WHOLE):
            self.outcomes(effect, VOTE, seed)
            return ["--model", f"replay:{self._file(self._spec(effect, seed), VOTE)}", *scored]
        return ["--model", effect.on[1] if effect.on else self.model, *MEMORY, *scored]

    def _number(self, seed: int) -> int:
        return self.choosing if seed == CHOOSING else self.problems

    def _spec(self, effect: Effect, seed: int) -> str:
        suite = effect.on[0] if effect.on else self.suite
        return f"{suite}(n={self._number(seed)}, seed={seed}{effect.which and f', {effect.which}'})"

    def _file(self, spec: str, strategy: str) -> Path:
        return self.runs / f"{slug(spec)}-{slug(strategy)}.db"


# --- Measuring ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """A method against its baseline: accuracies in per cent, their paired difference in points, the ratio of costs."""

    strategy: str
    problems: int
    baseline: float
    accuracy: float
    difference: tuple[float, float, float]
    ratio: tuple[float, float, float] | None

    @classmethod
    def of(cls, effect: Effect, strategy: str, method: Sequence[Outcome], base: Sequence[Outcome]) -> Found:
        one, other = (np.array([100.0 * bool(each.correct) for each in run]) for run in (method, base))
        ratio = None
        if effect.saves:
            costs = [np.array([effect.saves(each.ledger) for each in run], np.float64) for run in (base, method)]
            ratio = ratio_of(*costs)
        gap = paired(one, other)
        points = (gap.mean, gap.low, gap.high)
        return cls(strategy, len(base), float(other.mean()), float(one.mean()), points, ratio)

    def panel(self, effect: Effect) -> Panel:
        """This effect as a part of the figure."""
        if self.ratio is None:
            return Panel(effect.name, effect.unit, effect.reported, self.difference, effect.bar, none=0)
        return Panel(effect.name, effect.unit, effect.reported, self.ratio, effect.bar, 1, f", at {self.points} points")

    @property
    def points(self) -> str:
        """The difference of accuracy with its interval."""
        return "{:+.1f} ({:+.1f} to {:+.1f})".format(*self.difference)

    def reaches(self, effect: Effect) -> bool:
        """Whether the bar is reached: the ratio at an accuracy that is within the margin, or the gain."""
        if self.ratio is None:
            return self.difference[0] >= effect.bar
        estimate, low, _ = self.difference
        return self.ratio[0] >= effect.bar and (low if effect.surely else estimate) >= -effect.margin


def ratio_of(base: Any, method: Any) -> tuple[float, float, float]:
    """The ratio of two costs summed over problems, with its interval: problems are drawn with replacement."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(base), (REPLICATES, len(base)))
    low, high = np.quantile(base[drawn].sum(axis=1) / method[drawn].sum(axis=1), (0.025, 0.975))
    return float(base.sum() / method.sum()), float(low), float(high)


def chosen(effect: Effect, tried: Sequence[Found]) -> Found:
    """The setting to report: the largest saving that is within the margin, else the most accurate."""
    near = [each for each in tried if each.difference[0] >= -effect.margin]
    if effect.saves and near:
        return max(near, key=lambda each: each.ratio or (0.0, 0.0, 0.0))
    return max(tried, key=lambda each: (each.accuracy, each.ratio or (0.0, 0.0, 0.0)))


@dataclass(frozen=True, slots=True)
class Measured:
    """What an effect is here, and what was tried on other problems to choose its setting."""

    here: Found
    tried: tuple[Found, ...] = ()

    @property
    def choosing(self) -> int:
        """On how many problems the setting was chosen."""
        return self.tried[0].problems if self.tried else 0


def measure(effect: Effect, bench: Bench) -> Measured:
    """Choose on one half, unless there is a single method, and report on the other."""
    tried = tuple(compare(effect, effect.methods, bench, CHOOSING)) if len(effect.methods) > 1 else ()
    strategy = chosen(effect, tried).strategy if tried else effect.methods[0]
    (here,) = compare(effect, (strategy,), bench, REPORTING)
    return Measured(here, tried)


def compare(effect: Effect, methods: Sequence[str], bench: Bench, seed: int) -> Iterator[Found]:
    """Methods against the baseline on the problems of a seed."""
    base = bench.outcomes(effect, effect.baseline, seed)
    for strategy in methods:
        yield Found.of(effect, strategy, bench.outcomes(effect, strategy, seed), base)


# --- What was found -----------------------------------------------------------------------------------------------


def keep(runs: Path, name: str, measured: Measured) -> None:
    """Write down what was found of an effect, in a file of its own: several commands may measure side by side."""
    (runs / f"{name}.json").write_text(json.dumps(asdict(measured), indent=1))


def kept(runs: Path, name: str) -> Measured | None:
    """What was found of an effect; None if nothing was yet."""
    file = runs / f"{name}.json"
    if not file.exists():
        return None
    known = json.loads(file.read_text())
    return Measured(_found(known["here"]), tuple(_found(each) for each in known["tried"]))


def _found(fields: dict[str, Any]) -> Found:
    return Found(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})


def rows(effects: Sequence[Effect], results: Sequence[Measured | None]) -> Iterator[str]:
    """The table of `docs/effects.md`; problems are those of the choice and those of the figures."""
    yield "| effect | problems | published | here | accuracy, points | setting |"
    yield "|---|---|---|---|---|---|"
    for effect, measured in zip(effects, results, strict=True):
        head = f"| {effect.name} ({effect.paper})"
        if measured is None:
            yield f"{head} | | {effect.published} | not measured | | |"
        else:
            numbers = f"{measured.choosing}, {measured.here.problems}"
            yield f"{head} | {numbers} | {effect.published} | {_row(measured.here, effect)} |"


def _row(found: Found, effect: Effect) -> str:
    saved = "{:.2f} {} ({:.2f}-{:.2f})".format(found.ratio[0], effect.unit, *found.ratio[1:]) if found.ratio else ""
    accuracies = f"{found.accuracy:.1f} against {found.baseline:.1f} %"
    return f"{saved or effect.unit} | {found.points}, {accuracies} | `{found.strategy.replace('|', chr(92) + '|')}`"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of run files")
    parser.add_argument("--suite", default="quantities")
    parser.add_argument("--problems", type=int, default=500, help="problems that figures are reported on")
    parser.add_argument("--choosing", type=int, default=100, help="others, on which settings are chosen")
    parser.add_argument("--model", default="embedded:quantities")
    parser.add_argument("--reward-model", default="quantities")
    parser.add_argument("--only", nargs="+", help="names of effects")
    parser.add_argument("--table", action="store_true", help="run nothing, print what was found")
    parser.add_argument("--tried", action="store_true", help="also what was tried to choose each setting")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--figure", type=Path, help="draw what was found, as SVG, PNG or PDF")
    options = parser.parse_args()
    options.runs.mkdir(parents=True, exist_ok=True)
    bench = Bench(
        options.runs, options.suite, options.problems, options.choosing, options.model, options.reward_model
    )  # fmt: skip
    effects = [effect for effect in (make() for make in EFFECTS) if not options.only or effect.name in options.only]
    for effect in () if options.table else effects:
        keep(options.runs, effect.name, measure(effect, bench))
    results = [kept(options.runs, effect.name) for effect in effects]
    known = [(effect, measured) for effect, measured in zip(effects, results, strict=True) if measured]
    if options.figure and known:
        save(draw([measured.here.panel(effect) for effect, measured in known]), options.figure)
    if options.json:
        print(json.dumps({each.name: asdict(found) | {"met": found.here.reaches(each)} for each, found in known}))
    else:
        print("\n".join(rows(effects, results)))
        print("\n".join(_choice(*each) for each in known if options.tried))
    return int(not all(measured.here.reaches(effect) for effect, measured in known))


def _choice(effect: Effect, measured: Measured) -> str:
    tried = [f"| {_row(each, effect)} |" for each in measured.tried]
    return "\n".join([f"\n{effect.name}, {measured.choosing} problems to choose on:\n", *tried])


if __name__ == "__main__":
    sys.exit(main())
