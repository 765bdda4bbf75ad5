"""What each of several models answered to the same problems, according to their runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any, Literal

import numpy as np

from widthwise.core.arrays import DoubleArray
from widthwise.core.errors import UsageError
from widthwise.core.scores.trust import AGREEMENT
from widthwise.core.session.prices import Price, Prices, check_prices, money, recorded_prices, unknown
from widthwise.core.strategy.composition import shortened
from widthwise.evals.measure.run_prices import models_of
from widthwise.evals.measure.sample_scores import trace_score
from widthwise.evals.store.outcome import Leaf, Outcome, credit
from widthwise.evals.store.recorded_scores import RecordedScores
from widthwise.evals.store.store import Store

Key = tuple[str, str]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class StoredAnswers:
    """By model, ``float64 [problems]``: how ``right`` its answers are, how far they are ``trusted``, what they cost.

    ``trusted`` is NaN where an answer has no score. ``easy`` is how easy the first model's probes find each problem,
    and ``probing`` what they cost (both empty if nobody asked). ``strategy`` is that of all runs.
    """

    models: tuple[str, ...]
    strategy: str
    unit: Literal["money", "tokens"]
    right: Mapping[str, DoubleArray]
    trusted: Mapping[str, DoubleArray]
    costs: Mapping[str, DoubleArray]
    easy: DoubleArray
    probing: DoubleArray

    @property
    def problems(self) -> int:
        return len(self.right[self.models[0]])


def stored_answers(runs: Mapping[str, str | Path], *, by: str, probes: int | None, prices: Prices) -> StoredAnswers:
    """The answers to the problems that all runs have finished; with ``probes``, those of the first run.

    ``prices`` are by the names of the runs. Raises ``UsageError`` for runs of different strategies, or without a
    finished problem in common, for a score that none has, for a price of no run, and if only some prices are known.
    """
    check_prices(prices, list(runs))
    read = {name: _Run.read(path, by, probes if i == 0 else None) for i, (name, path) in enumerate(runs.items())}
    strategies = {run.strategy for run in read.values()}
    if len(strategies) > 1 or not all(strategies):
        raise UsageError(f"the runs must have one strategy, and these have {', '.join(sorted(strategies)) or 'none'}")
    shared = [key for key in next(iter(read.values())).outcomes if all(key in run.outcomes for run in read.values())]
    if not shared:
        raise UsageError("the runs have no finished problem in common")
    if by == AGREEMENT and all(len(run.outcomes[key].leaves) < 2 for run in read.values() for key in shared):
        raise UsageError(
            "the runs have one sample of each problem, which agrees with itself: run a strategy that draws several, or "
            "choose by a score of one answer (--by mean_logprob)"
        )
    _check_scored(read, shared, by, probes)
    in_money = _in_money({name: name in prices or bool(run.prices) for name, run in read.items()})
    costs = {
        name: np.array(run.paid(name, shared, prices.get(name)) if in_money else run.tokens(shared), float)
        for name, run in read.items()
    }
    first = next(iter(read))
    part = np.array([read[first].parts.get(key, 0.0) for key in shared])
    return StoredAnswers(
        tuple(read),
        next(iter(strategies)),
        "money" if in_money else "tokens",
        {name: np.array([credit(run.outcomes[key].correct) for key in shared]) for name, run in read.items()},
        {name: np.array([run.trusted[key] for key in shared], float) for name, run in read.items()},
        costs,
        np.array([read[first].easy.get(key, np.nan) for key in shared], float),
        costs[first] * part,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """One model's run: its finished problems, and for each how far its answer is trusted.

    ``easy`` is what its probes say, and ``parts`` the share of its samples' tokens that these are.
    """

    strategy: str
    models: Sequence[str]
    prices: Prices
    outcomes: Mapping[Key, Outcome]
    trusted: Mapping[Key, float]
    easy: Mapping[Key, float]
    parts: Mapping[Key, float]

    @classmethod
    def read(cls, path: str | Path, by: str, probes: int | None) -> _Run:
        with Store.read(path) as store:
            done = {(o.problem.text, str(o.problem.answer)): o for o in store.outcomes() if o.state != "open"}
            found = {key: _trusted(store, outcome, by) for key, outcome in done.items()}
            probed = {key: outcome.samples[:probes] for key, outcome in done.items()} if probes else {}
            for leaves in probed.values():
                if len(leaves) < (probes or 0):
                    raise UsageError(f"{path} has {len(leaves)} samples of a problem, and {probes} probes are too many")
            easy = {key: _easy(store, done[key], leaves, by) for key, leaves in probed.items()}
            parts = {key: _share(leaves, done[key]) for key, leaves in probed.items()}
            strategy = shortened(str(store.manifest["configuration"].get("strategy") or ""))
            models = models_of(store.manifest, [*done.values()])
            return cls(strategy, models, recorded_prices(store.manifest), done, found, easy, parts)

    def paid(self, name: str, keys: Sequence[Key], price: Price | None) -> list[float]:
        """What each problem cost in money; raises ``UsageError`` if that is not known.

        ``price`` is that of the run's only model, whatever its name; raises ``UsageError`` if it has several.
        """
        if price is not None and len(self.models) > 1:
            raise UsageError(f"the run {name} is of several models ({', '.join(self.models)}): it has no single price")
        known = self.prices if price is None else {self.models[0]: price}
        spent = [self.outcomes[key].ledger for key in keys]
        if reason := next(filter(None, (unknown(each, known) for each in spent)), ""):
            raise UsageError(f"what the run {name} cost in money is not known: {reason}")
        return [money(each, known) or 0.0 for each in spent]

    def tokens(self, keys: Sequence[Key]) -> list[float]:
        return [float(self.outcomes[key].ledger.total) for key in keys]


def _check_scored(runs: Mapping[str, _Run], keys: Sequence[Key], by: str, probes: int | None) -> None:
    """Raises ``UsageError`` if no answer, or for a route no problem's probes, have the score ``by``."""
    scores = {
        name: [(run.easy if probes else run.trusted).get(key, np.nan) for key in keys] for name, run in runs.items()
    }
    lacking = [name for name, each in scores.items() if np.isnan(each).all()]
    if len(lacking) == len(runs):
        whose = f"no probe of {next(iter(runs))}" if probes else "no answer of these runs"
        raise UsageError(f"{whose} has a score {by!r}: choose {AGREEMENT}, or a score that the runs have stored")
    for name in () if probes else lacking:
        _log.warning("no answer of %s has a score %r: a cascade can ask it only last", name, by)


def _in_money(priced: Mapping[str, bool]) -> bool:
    """Whether costs are money; raises ``UsageError`` if only some runs have prices."""
    lacking = [name for name, known in priced.items() if not known]
    if lacking and len(lacking) < len(priced):
        more = " ".join(f"--price {quote(name)}=PROMPT,COMPLETION" for name in lacking)
        raise UsageError(f"there is no price for {', '.join(lacking)}, but there is one for the others: give {more}")
    return not lacking


def _trusted(store: Store, outcome: Outcome, by: str) -> float:
    """The agreement of a problem's samples, or the score of the trace that stands for the answer; NaN for none."""
    if by == AGREEMENT:
        return _agreement(outcome, outcome.leaves)
    return np.nan if outcome.trace is None else _score(store, outcome, [outcome.trace], by)


def _easy(store: Store, outcome: Outcome, leaves: Sequence[Leaf], by: str) -> float:
    if by != AGREEMENT:
        return _score(store, outcome, [leaf.id for leaf in leaves], by)
    said = [_said(leaf) for leaf in leaves if leaf.answer is not None]
    return max((said.count(each) for each in said), default=0) / len(leaves)


def _agreement(outcome: Outcome, leaves: Sequence[Leaf]) -> float:
    """The share of the traces that state the answer, as ``core.scores.trust`` has it."""
    if outcome.answer is None or not leaves:
        return 0.0
    winner = next((_said(leaf) for leaf in leaves if leaf.id == outcome.trace), outcome.answer)
    return sum(_said(leaf) == winner for leaf in leaves) / len(leaves)


def _said(leaf: Leaf) -> int | str | None:
    """The class that a trace voted with; its answer if it did not vote."""
    return leaf.answer if leaf.vote is None else leaf.vote


def _score(store: Store, outcome: Outcome, ids: Sequence[Any], by: str) -> float:
    """The mean score of traces; NaN if none has it."""
    judged = RecordedScores(store)
    traces = [trace for trace in store.traces(outcome.problem.id) if trace.id in ids]
    found = np.array([trace_score(judged, outcome.problem.id, trace, by) for trace in traces], float)
    return float(np.nanmean(found)) if (~np.isnan(found)).any() else np.nan


def _share(leaves: Sequence[Leaf], outcome: Outcome) -> float:
    """The share of the tokens of all samples that ``leaves`` are."""
    total = sum(leaf.tokens for leaf in outcome.samples)
    return sum(leaf.tokens for leaf in leaves) / total if total else 0.0
