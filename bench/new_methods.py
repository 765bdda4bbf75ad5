"""Methods that ask, route or stop, each against a plain baseline at as many samples or tokens, on the bundled models.

    python -m bench.new_methods --out FOLDER [--problems 40] [--only NAME ...] [--table] [--json]

Two models take part: `cold`, the reasoner at temperature 1, which works where no model is named, and `hot`, the same at
1.2; on quantities it is the model of that suite alone. Every strategy has its defaults or the settings of the
documents' examples, or settings chosen on problems of another seed: nothing was chosen on the problems reported. A
baseline has as many samples as the method may draw, or about as many tokens; what both really took is in the table,
with the tokens of judges' replies. Differences are paired by problem, with 95 % intervals by a bootstrap over problems.
Every run is a file in FOLDER: the same command continues where it was stopped. `--table` prints what is there and runs
nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import widthwise as ww
from bench.paired_row import Gap, PairedRow, code, grades, mean_tokens, print_rows
from bench.stored_runs import finished, slug
from widthwise.evals.store.outcome import Outcome

PROBLEMS = {"quantities": "quantities(n={n}, seed=7, levels=(2, 9))"}
"""The problems of a suite, where they are not those of all levels with the seed 7."""
REASONER: Any = {
    "model": {"cold": "reasoner", "hot": "reasoner"},
    "model_settings": {"hot": {"temperature": 1.2}},
    "reward_model": "scorer",
}
SETTINGS: dict[str, Any] = {"quantities": {}}
"""What a suite is run with, if not with the reasoner."""
TWO = "('hot', 'cold'), thresholds=(0.75,)"
SCORED = "weighted_vote(by='score', weight='identity')"
BEST = "best_of_n(n=6) | best_by(score='reward_model')"


class Case(NamedTuple):
    """A method's strategy and what it is measured against; ``equal`` says in what the two are alike."""

    name: str
    suite: str
    strategy: str
    baseline: str
    equal: str


CASES = (
    Case(
        "certaindex",
        "arithmetic",
        "best_of_n(n=32, width=8) | certaindex(every=32) | majority_vote()",
        "best_of_n(n=32, width=8) | majority_vote()",
        "samples at most",
    ),
    *(
        Case(name, "arithmetic", strategy, f"best_of_n(n={n}{model}) | majority_vote()", equal)
        for name, strategy, n, equal in (
            ("escalate", "best_of_n(n=4, model='hot') | escalate(model='cold', when='disagree')", 5, "samples at most"),
            ("cascade", f"cascade({TWO}, worker=best_of_n(n=4) | majority_vote())", 8, "samples at most"),
            ("route", f"route({TWO})", 5, "samples"),
        )
        for model in ("", ", model='hot'")
    ),
    Case(
        "confidence_gate",
        "arithmetic",
        "best_of_n(n=8) | confidence_gate(otherwise=generative_verification(k=2), agreement=0.7)",
        "best_of_n(n=8) | generative_verification(k=2)",
        "samples",
    ),
    Case(
        "confidence_gate",
        "arithmetic",
        "best_of_n(n=8) | confidence_gate(otherwise=generative_verification(k=2), agreement=0.7)",
        "best_of_n(n=8) | majority_vote()",
        "samples",
    ),
    Case(
        "gen_synthesis",
        "arithmetic",
        "best_of_n(n=4) | gen_synthesis(window=4, draws=3, shown_tokens=150)",
        "best_of_n(n=7) | majority_vote()",
        "solutions written",
    ),
    *(
        Case(
            "mutual_consistency",
            suite,
            "best_of_n(n=6) | mutual_consistency()",
            "best_of_n(n=18) | majority_vote()",
            "tokens, roughly",
        )
        for suite in ("arithmetic", "countdown")
    ),
    *(
        Case(
            "mctsr",
            suite,
            "mctsr(rollouts=8) | best_by(score='score')",
            f"best_of_n(n=9) | {answer}",
            "answers written",
        )
        for suite in ("countdown", "arithmetic")
        for answer in ("majority_vote()", "generative_verification(k=2)")
    ),
    *(
        Case("tree_of_thoughts", "countdown", strategy, f"best_of_n(n={n}) | majority_vote()", equal)
        for strategy, samples in (
            (f"tree_of_thoughts(n=2, children=2) | {SCORED}", 4),
            ("tree_of_thoughts(n=1, children=2, order='depth') | majority_vote()", 2),
        )
        for n, equal in ((samples, "steps of a level, and samples"), (48, "tokens, roughly"))
    ),
    Case(
        "rstar",
        "quantities",
        "rstar(rollouts=8, steps=2, asked=2, votes=3, solutions=4) | mutual_consistency(by='score')",
        "best_of_n(n=80) | majority_vote()",
        "tokens, roughly",
    ),
    Case(
        "mixture_of_agents",
        "arithmetic",
        "mixture_of_agents(('hot', 'cold'), layers=2)",
        "best_of_n(n=3, temperature=0.7) | majority_vote()",
        "samples and temperature",
    ),
    *(
        Case("ab_mcts", "countdown", f"ab_mcts(n=6, {how}) | best_by(score='score')", BEST, "samples")
        for how in ("belief='mixed'", "models=('cold', 'hot')", "models=('cold', 'hot'), belief='mixed'")
    ),
)


HEADS = ("suite", "strategy", "baseline", "alike in", *Gap.HEADS, "baseline's")


@dataclass(frozen=True, slots=True)
class Row(PairedRow):
    """A method and its baseline, and what the baseline took."""

    suite: str
    strategy: str
    baseline: str
    equal: str
    problems: int
    baseline_tokens: float

    @property
    def cells(self) -> list[str]:
        strategies = code(self.strategy), code(self.baseline)
        return [self.suite, *strategies, self.equal, *self.gap.cells, f"{self.baseline_tokens:,.0f}"]


def outcomes(folder: Path, suite: str, strategy: str, problems: int, *, runs: bool) -> list[Outcome] | None:
    """The outcomes of a strategy in the order of the problems; None if it was not run to its end."""
    file = folder / f"{suite}-{problems}-{slug(strategy)}.db"
    if runs:
        print(f"{suite}, {problems} problems: {strategy}", file=sys.stderr, flush=True)
        spec = PROBLEMS.get(suite, f"{suite}(n={{n}}, seed=7)").format(n=problems)
        ww.evaluate(strategy, spec, run=file, concurrency=32, **SETTINGS.get(suite, REASONER))
    return finished(file, problems)


def measured(case: Case, folder: Path, problems: int, *, runs: bool) -> Row | None:
    """One case; None if runs are missing."""
    mine, base = (outcomes(folder, case.suite, text, problems, runs=runs) for text in (case.strategy, case.baseline))
    if mine is None or base is None:
        return None
    return Row(Gap.of(mine, grades(base)), *case[1:], problems, mean_tokens(base))


def rows(folder: Path, problems: int, only: Sequence[str] | None, *, runs: bool) -> Iterator[Row]:
    """All rows that can be made."""
    for case in CASES:
        if (not only or case.name in only) and (row := measured(case, folder, problems, runs=runs)):
            yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of run files")
    parser.add_argument("--problems", type=int, default=40)
    parser.add_argument("--only", nargs="+", choices=sorted({case.name for case in CASES}), help="names of methods")
    parser.add_argument("--table", action="store_true", help="run nothing, print what is there")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    made = rows(options.out, options.problems, options.only, runs=not options.table)
    print_rows(HEADS, made, as_json=options.json)


if __name__ == "__main__":
    main()
