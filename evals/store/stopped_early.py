"""Problems with fewer samples than others, because of what their samples were: their answers, scores or lengths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from widthwise.core.errors import WidthwiseError
from widthwise.core.session.limits import Limits
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.strategy.strategy import Strategy
from widthwise.evals.store.outcome import Outcome
from widthwise.evals.store.recorded_rounds import INDEPENDENT, sampler_of

STOPPED = "what samples showed or cost decided how many there are, so they are not a fair sample"


def stopped_early(configuration: Mapping[str, Any], outcomes: Iterable[Outcome]) -> frozenset[str]:
    """The ids of finished problems that got fewer independent samples than they were to get.

    A pruner or a budget may end the draw between two samples: then that is what the strategy asks for. Where a suite
    budget is shared out, or only the number of samples is limited, it is what others of the run got. Nothing is known
    of a run that draws a fixed number. A request that failed was a sample, too, so it makes no problem short; but one
    with a failure gets no more of a suite budget.
    """
    asked = _asked(configuration)
    if asked is None:
        return frozenset()
    drawn = {o.problem.id: _drawn(o) for o in outcomes if o.state == "done" or (asked and o.leaves)}
    most = max([asked, *drawn.values()])
    return frozenset(problem for problem, samples in drawn.items() if samples < most)


def _drawn(outcome: Outcome) -> int:
    return sum(leaf.finish != "joined" for leaf in outcome.leaves)


def _asked(configuration: Mapping[str, Any]) -> int | None:
    """How many samples a problem is to get; 0 if only the run can tell, None if no draw can end early."""
    text = str(configuration.get("strategy") or "")
    if sampler_of(text) not in INDEPENDENT:
        return None
    if any(name.startswith("suite_budget_") for name in configuration):
        return 0
    strategy = _parsed(text)
    limits = _limits(configuration, strategy)
    most = limits.pop("samples", None)
    if limits or (strategy.pruners if strategy else "|" in text):  # a part that is nobody's here may be a pruner
        named = _n(strategy or _parsed(text.partition("|")[0]))
        return min(named, most) if isinstance(most, int) else named
    return None if most is None else 0


def _limits(configuration: Mapping[str, Any], strategy: Strategy | None) -> dict[str, Any]:
    """What limits a problem, by name: the run's budget, which takes the place of the strategy's."""
    of_run = {f.name: configuration.get(f"budget_{f.name}") for f in fields(Limits)}
    own = strategy.budget if strategy is not None else None
    of_strategy = {} if own is None else {f.name: getattr(own, f.name) for f in fields(Limits)}
    in_force = of_run if any(limit is not None for limit in of_run.values()) else of_strategy
    return {name: limit for name, limit in in_force.items() if limit is not None}


def _parsed(text: str) -> Strategy | None:
    try:
        return parse_strategy(text, trusted=False)
    except WidthwiseError:  # parts that are nobody's here
        return None


def _n(strategy: Strategy | None) -> int:
    """How many samples the sampler draws; 0 if that is not known."""
    return 0 if strategy is None else int(getattr(strategy.sampler, "n", 1))
