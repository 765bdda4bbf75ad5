"""Problems with fewer samples than others, because of what their samples were: their answers, scores or lengths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from widthwise.core.errors import WidthwiseError
from widthwise.core.strategy.composition import parse_strategy
from widthwise.evals.store.outcome import Outcome
from widthwise.evals.store.recorded_rounds import INDEPENDENT, sampler_of

STOPPED = "what samples showed or cost decided how many there are, so they are not a fair sample"

_LIMITS = ("budget_", "suite_budget_")
"""How settings begin that limit what a run, or each of its problems, may take; they are there only if they do."""


def stopped_early(configuration: Mapping[str, Any], outcomes: Iterable[Outcome]) -> frozenset[str]:
    """The ids of finished problems that got fewer independent samples than others of the run did.

    That is so where a suite budget is shared out, and where a pruner or a budget ends the draw between two samples.
    Nothing is known of a run that draws a fixed number: there, samples are missing because requests failed.
    """
    if not _may_stop(configuration):
        return frozenset()
    drawn = {o.problem.id: sum(leaf.finish != "joined" for leaf in o.leaves) for o in outcomes if o.state == "done"}
    most = max(drawn.values(), default=0)
    return frozenset(problem for problem, samples in drawn.items() if samples < most)


def _may_stop(configuration: Mapping[str, Any]) -> bool:
    text = str(configuration.get("strategy") or "")
    if sampler_of(text) not in INDEPENDENT:
        return False
    if any(name.startswith(_LIMITS) for name in configuration):
        return True
    try:
        strategy = parse_strategy(text, trusted=False)
    except WidthwiseError:  # parts that are nobody's here
        return "|" in text
    return bool(strategy.pruners) or strategy.budget is not None
