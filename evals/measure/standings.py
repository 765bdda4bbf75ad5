"""Finished runs side by side: what each got right and spent, and how far it is from the first of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from widthwise.core.brief import Brief
from widthwise.core.errors import UsageError
from widthwise.core.session.ledger import KV_FIGURES
from widthwise.core.session.prices import Prices, money, unknown
from widthwise.evals.measure.dependence import not_its_own, unfair
from widthwise.evals.measure.equal_budgets import MOSTLY
from widthwise.evals.measure.gain import BootstrapMean, GainSplit, Reached
from widthwise.evals.measure.intervals import Difference, adjusted, paired
from widthwise.evals.measure.run_names import NOT_SETTINGS
from widthwise.evals.measure.run_prices import check_known, prices_in
from widthwise.evals.measure.trials import MEASURES, Reliability, Trials, reliabilities
from widthwise.evals.measure.wilson import wilson
from widthwise.evals.store.configuration import difference
from widthwise.evals.store.copies import Copies
from widthwise.evals.store.outcome import Outcome, credit
from widthwise.evals.store.recorded_rounds import one_line
from widthwise.evals.store.store import Store
from widthwise.evals.store.waits import sequential_known

COSTS = ("sampled", "judging", "scoring", "embedding", "sequential", "flops", *KV_FIGURES, "seconds")
"""The figures of the ledgers that are compared; see ``Ledger``."""


@dataclass(frozen=True, slots=True)
class Standing(Brief):
    """One run on the problems that all compared runs have finished.

    ``accuracy`` is a fraction of 1, ``interval`` Wilson's at 95 %. ``costs`` are means over problems, without those
    that a file does not know. ``difference`` is its accuracy minus the first run's, paired by problem, its p adjusted
    for the number of runs (Holm); None for the first run itself, and if on most problems a budget did not allow one of
    the two a single whole trace (``cut`` is the share of them). ``copies`` says how many different samples a problem's
    are worth. ``no_money`` says why it is not known what it cost in money; empty if it is. ``reliability`` is how
    reliably single samples are right, and ``no_reliability`` says why that is not known; empty if it is. What tells of
    single samples is None for a run whose traces are not a fair sample of its strategy (``dependence.unfair``).
    ``failed`` are the compared problems on which something failed, ``left_out`` its finished ones that another run has
    not finished. ``differs`` are the settings, besides the strategy, in which it differs from the first run.
    """

    run: str
    suite: str
    model: str
    strategy: str
    problems: int
    accuracy: float
    interval: tuple[float, float]
    costs: Mapping[str, float]
    cut: float = 0.0
    difference: Difference | None = None
    copies: Copies | None = None
    one_sample: float | None = None
    coverage: float | None = None
    efficiency: BootstrapMean | None = None
    split: GainSplit | None = None
    no_money: str = ""
    reliability: tuple[Reliability, ...] = ()
    no_reliability: str = ""
    failed: int = 0
    left_out: int = 0
    differs: str = ""


def standings(
    paths: Sequence[str | Path],
    prices: Prices | None = None,
    *,
    reliability: Sequence[str] = MEASURES,
    k: int | None = None,
) -> list[Standing]:
    """The runs in the given order, each against the first.

    ``prices`` are laid over those that the run files have. ``reliability`` names measures of ``k`` single samples
    ("all", "gpass:SHARE", "mgpass"), by default of as many as all runs with several have, at most 8. Problems are the
    same if their text and reference are. Raises ``UsageError`` for fewer than one run, a recording that no strategy has
    answered, runs without a finished problem in common, prices of other models or of only some of these, and unknown
    measures.
    """
    if not paths:
        raise UsageError("there is nothing to compare: name run files, the one to compare with first")
    check_known(prices or {}, paths)
    runs = [_finished(Path(path)) for path in paths]
    priced = [_prices(path, list(done.values()), prices or {}) for path, (_, done, _) in zip(paths, runs, strict=True)]
    shared = [name for name in runs[0][1] if all(name in done for _, done, _ in runs)]
    if not shared:
        raise UsageError("these runs have no finished problem in common, so they cannot be compared")
    outcomes = [[done[name] for name in shared] for _, done, _ in runs]
    reached = [Reached.of(of_run) for of_run in outcomes]
    found = [
        _paid(_sampled(_standing(said, of_run, costs), of_run, grades, said["unfair"]), of_run, known)
        for (said, _, costs), of_run, grades, known in zip(runs, outcomes, reached, priced, strict=True)
    ]
    for i, (said, done, _) in enumerate(runs):
        differs = one_line(difference(runs[0][0]["settings"], said["settings"]))
        found[i] = replace(found[i], left_out=len(done) - len(shared), differs=differs)
    found = _against_the_first(found, reached, [not said["unfair"] for said, _, _ in runs])
    trials = [
        Trials.of(said["strategy"], of_run, said["not_its_own"])
        for (said, _, _), of_run in zip(runs, outcomes, strict=True)
    ]
    reliable = reliabilities(trials, reliability, k)
    return [replace(s, reliability=r.known, no_reliability=r.why_not) for s, r in zip(found, reliable, strict=True)]


def _against_the_first(
    standings: Sequence[Standing], reached: Sequence[Reached], fair: Sequence[bool]
) -> list[Standing]:
    """``standings`` with their differences from the first, and the parts of those between ``fair`` samples."""
    found = list(standings)
    tested = [i for i in range(1, len(found)) if max(found[0].cut, found[i].cut) <= MOSTLY]
    gaps = adjusted([paired(reached[i].answered, reached[0].answered) for i in tested])
    for i, gap in zip(tested, gaps, strict=True):
        split = reached[i].beyond(reached[0]) if fair[0] and fair[i] else None
        found[i] = replace(found[i], difference=gap, split=split)
    return found


def _sampled(standing: Standing, outcomes: Sequence[Outcome], reached: Reached, unfair: str) -> Standing:
    """``standing`` with what single samples and all of them reach, unless they are ``unfair``."""
    if unfair:
        return standing
    one, covered, copies = float(reached.one.mean()), float(reached.covered.mean()), Copies.stored(outcomes)
    return replace(standing, one_sample=one, coverage=covered, efficiency=reached.efficiency(), copies=copies)


def _prices(path: str | Path, outcomes: Sequence[Outcome], given: Prices) -> Prices:
    with Store.read(path) as store:
        return prices_in(path, store.manifest, outcomes, given)


def _paid(standing: Standing, outcomes: Sequence[Outcome], prices: Prices) -> Standing:
    """``standing`` with the money that a problem cost, if the prices of all models that it used are known."""
    if lacking := next(filter(None, (unknown(outcome.ledger, prices) for outcome in outcomes)), ""):
        return replace(standing, no_money=lacking)
    paid = [money(outcome.ledger, prices) or 0.0 for outcome in outcomes]
    return replace(standing, costs={**standing.costs, "money": float(np.mean(paid))})


def _finished(path: Path) -> tuple[Mapping[str, Any], dict[tuple[str, str], Outcome], Sequence[str]]:
    """A run's configuration, its finished problems, and those costs that its file knows."""
    with Store.read(path) as store:
        asked = store.manifest["configuration"]
        said: dict[str, Any] = {"run": str(path)} | {
            name: asked.get(name) or "" for name in ("suite", "model", "strategy")
        }
        said["settings"] = {name: value for name, value in asked.items() if name not in NOT_SETTINGS}
        done = {(o.problem.text, str(o.problem.answer)): o for o in store.outcomes() if o.state != "open"}
        said |= {of.__name__: of(store.manifest, done.values()) for of in (unfair, not_its_own)}
        unknown = {"sequential": not sequential_known(store), "flops": not all(o.ledger.flops for o in done.values())}
        costs = [name for name in COSTS if not unknown.get(name)]
    if not said["strategy"]:
        raise UsageError(f"{path} holds recorded traces that no strategy has answered: evaluate one on replay:{path}")
    return said, done, costs


def _standing(said: Mapping[str, Any], outcomes: Sequence[Outcome], costs: Sequence[str]) -> Standing:
    right = sum(credit(outcome.correct) for outcome in outcomes)
    return Standing(
        run=said["run"],
        suite=said["suite"],
        model=said["model"],
        strategy=said["strategy"],
        problems=len(outcomes),
        accuracy=right / len(outcomes),
        interval=wilson(right, len(outcomes)),
        cut=float(np.mean([outcome.cut for outcome in outcomes])),
        failed=sum(outcome.state == "error" for outcome in outcomes),
        costs={name: float(np.mean([getattr(o.ledger, name) for o in outcomes])) for name in costs},
    )
