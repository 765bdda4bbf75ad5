"""The result of a run in figures, computed from its store alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from widthwise.core.brief import Brief
from widthwise.core.session.ledger import KV_FIGURES, Ledger, Spending
from widthwise.core.session.prices import RECORDED, Prices, money, recorded_prices, unknown
from widthwise.evals.grading.choice import options_of
from widthwise.evals.measure.dependence import unfair
from widthwise.evals.measure.gain import Reached
from widthwise.evals.measure.wilson import wilson
from widthwise.evals.store.copies import Copies
from widthwise.evals.store.outcome import Leaf, Outcome, credit
from widthwise.evals.store.recorded_asking import asking_by_model, asking_in
from widthwise.evals.store.recorded_rounds import rounds_in
from widthwise.evals.store.store import Store
from widthwise.evals.store.waits import sequential_known

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class TokenTotals:
    """Where tokens went, summed over the run; see ``Ledger``."""

    prompt_computed: int
    prompt_cached: int
    prompt_ideal: int
    sampled: int
    discarded: int
    judging: int
    scoring: int
    embedding: int


@dataclass(frozen=True, slots=True)
class Summary(Brief):
    """A run in figures; accuracies are fractions of 1.

    An answer that is right in part counts for that part. ``problems`` are those worked on; ``errors`` of them failed
    (and count as wrong). ``accuracy`` is that of the strategy's answers, ``accuracy_ci95`` its Wilson interval over
    problems. ``mean_accuracy`` is that of single samples (not of traces that were pruned, aborted or failed), averaged
    over problems; ``pass_at_n`` the fraction of problems with a right trace among all. ``efficiency`` is the share of
    what lies between these two that the strategy's answers have got (None if nothing does). ``flops`` are 0 if a
    model's shape is not known. ``sequential_tokens`` sums the problems' critical paths (None: the file does not know
    them), ``wall_seconds`` the durations of all attempts. ``kv_peak`` and the like are the ledger's figures of what
    caches held, averaged over problems. ``asking`` is how the model was asked: its profile and why, and all sampling
    settings in force; None for runs that do not say. ``asking_by_model`` has this of each model, by name, in a run with
    several (``asking``: of the first of them). ``server`` describes in one line the server that sampled. ``models`` is
    what each model cost, by name, in a run with several; ``money`` is what all of it cost, and if that is None,
    ``no_money`` says why it is not known. ``notes`` report what was out of the ordinary, one of each kind, with the
    number of problems that had it, most frequent first. ``copies`` says how many different samples a problem's are
    worth. ``chance`` is the accuracy of guessing, for multiple choice. ``suite_budget``: the pool of tokens that all
    problems shared, if they did. ``mean_accuracy``, ``pass_at_n``, ``efficiency`` and ``copies`` are None where the
    traces are not a fair sample of the run's strategy (``dependence.unfair``).
    """

    suite: str
    model: str
    strategy: str
    problems: int
    errors: int
    accuracy: float | None
    accuracy_ci95: tuple[float, float] | None
    mean_accuracy: float | None
    pass_at_n: float | None
    samples: int
    tokens: TokenTotals
    flops: int
    sequential_tokens: int | None
    wall_seconds: float
    kv_peak: float
    kv_mean: float
    kv_rounds: float
    kv_content_peak: float
    kv_content_mean: float
    kv_content_rounds: float
    run: str
    asking: Mapping[str, Any] | None = None
    asking_by_model: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    server: str | None = None
    models: Mapping[str, Spending] = field(default_factory=dict)
    money: float | None = None
    notes: tuple[tuple[str, int], ...] = ()
    copies: Copies | None = None
    chance: float | None = None
    suite_budget: Mapping[str, Any] | None = None
    efficiency: float | None = None
    no_money: str = ""

    def asdict(self) -> dict[str, Any]:
        """The summary as JSON values."""
        return asdict(self)


def summarise(store: Store, prices: Prices | None = None) -> Summary:
    """The run's figures so far; ``prices`` are laid over those that the run file has."""
    outcomes = [outcome for outcome in store.outcomes() if outcome.state != "open"]
    ledger = Ledger.sum_of(outcome.ledger for outcome in outcomes)
    known = recorded_prices(store.manifest) | dict(prices or {})
    said = store.manifest["configuration"]
    right = sum(credit(outcome.correct) for outcome in outcomes)
    # An imported recording has traces, but no strategy has answered with them.
    answered = bool(outcomes) and said.get("strategy") is not None
    fair = not unfair(store.manifest, outcomes)
    return Summary(
        suite=said.get("suite") or "",
        model=said.get("model") or "",
        strategy=said.get("strategy") or "",
        problems=len(outcomes),
        errors=sum(outcome.state == "error" for outcome in outcomes),
        accuracy=right / len(outcomes) if answered else None,
        accuracy_ci95=wilson(right, len(outcomes)) if answered else None,
        mean_accuracy=_mean([_share_right(outcome.samples) for outcome in outcomes]) if fair else None,
        pass_at_n=_mean([_best(outcome) for outcome in outcomes]) if fair else None,
        samples=ledger.samples,
        tokens=TokenTotals(**{name: getattr(ledger, name) for name in TokenTotals.__slots__}),
        flops=ledger.flops,
        sequential_tokens=ledger.sequential if sequential_known(store) else None,
        wall_seconds=store.seconds,
        **{name: getattr(ledger, name) / max(len(outcomes), 1) for name in KV_FIGURES},
        run=str(store.path),
        asking=asking_in(store.manifest),
        asking_by_model=asking_by_model(store.manifest),
        server=_server(store.manifest),
        models=ledger.models,
        money=money(ledger, known),
        no_money=unknown(ledger, known) if answered else RECORDED,
        notes=_noted(outcomes),
        copies=Copies.stored(outcomes) if fair else None,
        chance=_chance(outcomes),
        efficiency=_efficiency(outcomes) if answered and fair else None,
        suite_budget=rounds_in(store.manifest, ledger.total),
    )


def _chance(outcomes: Sequence[Outcome]) -> float | None:
    """How often a guess is right; None unless every problem is a choice among options."""
    options = [len(options_of(outcome.problem)) for outcome in outcomes]
    return _mean([1 / n for n in options]) if options and all(options) else None


def _efficiency(outcomes: Sequence[Outcome]) -> float | None:
    """The selection efficiency of the run's answers."""
    return Reached.of(outcomes).mean_efficiency


def _server(manifest: Mapping[str, Any]) -> str | None:
    """The backend's description of its server, in one line; None if it is not a server."""
    backend = manifest.get("backend")
    line = backend.get("line") if isinstance(backend, dict) else None
    return line if isinstance(line, str) else None


def _noted(outcomes: Sequence[Outcome]) -> tuple[tuple[str, int], ...]:
    """Notes that differ only in their numbers are of one kind, and the first stands for all."""
    first: dict[str, str] = {}
    problems: Counter[str] = Counter()
    for outcome in outcomes:
        texts = [str(text) for _, text in outcome.fields.get("notes", ())]
        kinds = {_NUMBER.sub("#", text): text for text in reversed(texts)}
        problems.update(kinds.keys())
        first = {**kinds, **first}
    return tuple((first[kind], count) for kind, count in problems.most_common())


def _share_right(leaves: Sequence[Leaf]) -> float:
    return sum(credit(leaf.correct) for leaf in leaves) / len(leaves) if leaves else 0.0


def _best(outcome: Outcome) -> float:
    """The grade of the best trace: 1 where any is right."""
    return max((credit(leaf.correct) for leaf in outcome.leaves), default=0.0)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
