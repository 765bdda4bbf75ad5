"""Learning which model answers what from stored runs: thresholds of cascades and routes, under a budget.

One half of the problems decides, and what it decided is measured on the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from widthwise.core.arguments import one_of, whole
from widthwise.core.arrays import DoubleArray
from widthwise.core.brief import Brief, counted
from widthwise.core.errors import UsageError
from widthwise.core.scores.trust import AGREEMENT
from widthwise.core.session.derived_seed import derived_seed
from widthwise.core.session.prices import Prices
from widthwise.core.strategy.composition import shortened
from widthwise.core.tabular import Tabular
from widthwise.evals.measure.intervals import wilson
from widthwise.evals.measure.stored_answers import StoredAnswers, stored_answers

Kind = Literal["cascade", "route"]
Chosen = tuple[tuple[str, ...], tuple[float, ...]]
"""Models in the order in which they are asked, and the thresholds of all but the last."""

LONGEST = 3
"""How many models a cascade has at most, as in the paper."""
PROBES = 4
"""How many samples of the first model a route looks at by default."""
_LEVELS = 24
"""How many values of a score are tried as a threshold of each model."""


@dataclass(frozen=True, slots=True)
class MeasuredChoice(Brief):
    """A way to choose models, on problems that did not decide it: its accuracy, and the mean cost of a problem."""

    strategy: str
    accuracy: float
    interval: tuple[float, float]
    cost: float


@dataclass(frozen=True, slots=True)
class Fitted(Tabular):
    """What was learned: ``chosen``, and each single model for comparison, all on the other half.

    ``unit`` is that of costs and of the budget. ``learned_on`` and ``measured_on`` are numbers of problems,
    ``learned_cost`` what the choice cost on those that decided it.
    """

    chosen: MeasuredChoice
    single: tuple[MeasuredChoice, ...]
    unit: Literal["money", "tokens"]
    learned_on: int
    measured_on: int
    learned_cost: float

    def table(self) -> dict[str, list[Any]]:
        """One row for the choice and for each single model."""
        rows = [self.chosen, *self.single]
        return {
            "strategy": [each.strategy for each in rows],
            "accuracy": [each.accuracy for each in rows],
            "low": [each.interval[0] for each in rows],
            "high": [each.interval[1] for each in rows],
            self.unit: [each.cost for each in rows],
        }

    def __repr__(self) -> str:
        problems = counted(self.measured_on, "problem")
        return f"Fitted({self.chosen.strategy}, accuracy {100 * self.chosen.accuracy:.1f} % on {problems})"


def fit(
    runs: Mapping[str, str | Path],
    *,
    kind: Kind = "cascade",
    by: str = "agreement",
    budget: float | None = None,
    probes: int | None = None,
    prices: Prices | None = None,
    seed: int = 0,
) -> Fitted:
    """Learn a cascade or a route from one run of each model on the same problems, all with one strategy.

    As in FrugalGPT (Chen et al., arXiv 2305.05176) the order of the models and their thresholds are those of the
    highest accuracy whose mean cost is within ``budget`` (None: no limit; among equals the cheaper), here found by
    trying all orders of up to three models and, as thresholds of each, all values that its scores have on these
    problems, or 24 quantiles of them if they are more. A route tries such thresholds of what its probes say;
    ``probes`` (by default 4) are the first samples of the first model. Costs are money if prices are known, else
    sampled tokens. Which half a problem belongs to depends on ``seed``. Raises ``UsageError`` for runs that do not fit
    together, for a score that they do not have, for prices of other models or of only some of these, for ``probes`` of
    a cascade, and if nothing is within the budget.
    """
    one_of(kind, get_args(Kind), "kind")
    if len(runs) < 2:
        raise UsageError("a choice between models needs a run of each: NAME=RUN.db at least twice")
    probes = _probes(probes, kind, by)
    known = stored_answers(runs, by=by, probes=probes, prices=prices or {})
    order = np.random.default_rng(derived_seed(seed, "", ("halves",)) % 2**64).permutation(known.problems)
    learned, others = np.sort(order[: known.problems // 2]), np.sort(order[known.problems // 2 :])
    if not len(learned):
        raise UsageError("the runs have a single problem in common: nothing can be learned on one half")
    ways = _cascades(known, learned) if kind == "cascade" else _routes(known, learned)
    chosen, cost = _best(known, ways, kind, learned, budget)
    single = tuple(_measured(known, ((name,), ()), kind, others, by, probes) for name in known.models)
    found = _measured(known, chosen, kind, others, by, probes)
    return Fitted(found, single, known.unit, len(learned), len(others), cost)


def _probes(asked: int | None, kind: Kind, by: str) -> int | None:
    """How many probes a route looks at; None for a cascade, and ``UsageError`` where it is asked for some."""
    if kind == "cascade":
        if asked is not None:
            raise UsageError("a cascade has no probes: ask for a route, kind='route' (--route), or leave probes "
                             "(--probes) out")  # fmt: skip
        return None
    probes = PROBES if asked is None else whole(asked, "probes")
    if by == AGREEMENT and probes < 2:
        raise UsageError("a single probe agrees with itself: ask for several (--probes 4), or name a score (--by)")
    return probes


def _best(
    known: StoredAnswers, ways: Iterator[Chosen], kind: Kind, problems: Any, budget: float | None
) -> tuple[Chosen, float]:
    """The way with the highest accuracy on ``problems`` within the budget, the cheapest of equals, and its cost."""
    best: tuple[tuple[float, float], Chosen] | None = None
    for way in ways:
        right, cost = _outcome(known, way, kind, problems)
        worth = (round(float(right.mean()), 12), -float(cost.mean()))
        if (budget is None or -worth[1] <= budget) and (best is None or worth > best[0]):
            best = worth, way
    if best is None:
        cheapest = min(float(known.costs[name][problems].mean()) for name in known.models)
        raise UsageError(f"nothing is within {budget} {known.unit} per problem: the cheapest model costs {cheapest:g}")
    return best[1], -best[0][1]


def _cascades(known: StoredAnswers, problems: Any) -> Iterator[Chosen]:
    for length in range(1, min(LONGEST, len(known.models)) + 1):
        for order in itertools.permutations(known.models, length):
            levels = [_levels(known.trusted[name][problems]) for name in order[:-1]]
            yield from ((order, thresholds) for thresholds in itertools.product(*levels))


def _routes(known: StoredAnswers, problems: Any) -> Iterator[Chosen]:
    first, *rest = known.models
    order = (first, *sorted(rest, key=lambda name: float(known.costs[name][problems].mean())))
    yield from (((name,), ()) for name in order)
    levels = _levels(known.easy[problems])
    for thresholds in itertools.product(levels, repeat=len(order) - 1):
        if list(thresholds) == sorted(thresholds, reverse=True):
            yield order, thresholds


def _levels(scores: DoubleArray) -> list[float]:
    """Values of a score to try as thresholds: all, or so many quantiles of them."""
    values = np.unique(scores[~np.isnan(scores)])
    if len(values) > _LEVELS:
        values = np.unique(np.quantile(values, np.linspace(0, 1, _LEVELS), method="nearest"))
    return [float(value) for value in values]


def _outcome(known: StoredAnswers, way: Chosen, kind: Kind, problems: Any) -> tuple[DoubleArray, DoubleArray]:
    """How right each problem's answer is, and what it cost."""
    choose = cascaded if kind == "cascade" or len(way[0]) == 1 else routed
    return choose(known, way, problems)


def cascaded(known: StoredAnswers, way: Chosen, problems: Any) -> tuple[DoubleArray, DoubleArray]:
    """The grades and costs of a cascade on ``problems``: each model is asked until an answer is trusted."""
    models, thresholds = way
    right, cost, open_ = np.zeros(len(problems)), np.zeros(len(problems)), np.ones(len(problems), bool)
    for name, threshold in zip(models, (*thresholds, None), strict=True):
        cost[open_] += known.costs[name][problems][open_]
        done = open_ if threshold is None else open_ & (known.trusted[name][problems] >= threshold)
        right[done] = known.right[name][problems][done]
        open_ = open_ & ~done
    return right, cost


def routed(known: StoredAnswers, way: Chosen, problems: Any) -> tuple[DoubleArray, DoubleArray]:
    """The grades and costs of a route on ``problems``, with those of the probes."""
    models, thresholds = way
    easy = known.easy[problems]
    place = np.array([next((i for i, t in enumerate(thresholds) if e >= t), len(thresholds)) for e in easy], int)
    right = np.choose(place, [known.right[name][problems] for name in models])
    cost = np.choose(place, [known.costs[name][problems] for name in models])
    return right, cost + known.probing[problems]


def _measured(
    known: StoredAnswers, way: Chosen, kind: Kind, problems: Any, by: str, probes: int | None
) -> MeasuredChoice:
    right, cost = _outcome(known, way, kind, problems)
    interval = wilson(float(right.sum()), len(right))
    text = _spelled(known, way, kind, by, probes)
    return MeasuredChoice(text, float(right.mean()), (interval.low, interval.high), float(cost.mean()))


def _spelled(known: StoredAnswers, way: Chosen, kind: Kind, by: str, probes: int | None) -> str:
    """The strategy that does this in a run with these models."""
    models, thresholds = way
    if len(models) == 1:
        return _single(known.strategy, models[0])
    worker = "" if known.strategy == "single()" else f", worker={known.strategy}"
    more = "" if probes is None else f", probes={probes}"
    return shortened(f"{kind}({models!r}, thresholds={thresholds!r}, by={by!r}{more}{worker})")


def _single(strategy: str, model: str) -> str:
    """``strategy`` with its sampler's work done by ``model``."""
    sampler, bracket, rest = strategy.partition("(")
    if not bracket:
        return f"{sampler}(model={model!r})"
    return f"{sampler}(model={model!r}{'' if rest.startswith(')') else ', '}{rest}"


def orders(runs: Sequence[str]) -> dict[str, str]:
    """``NAME=RUN.db`` as a mapping; raises ``UsageError`` for one without a name, and for two with the same."""
    pairs = [tuple(each.split("=", 1)) for each in runs]
    if any(len(pair) != 2 or not all(pair) for pair in pairs) or len({name for name, *_ in pairs}) < len(pairs):
        raise UsageError("each run is given with the name of its model, NAME=RUN.db, and no name twice")
    return dict(pairs)  # type: ignore[arg-type]
