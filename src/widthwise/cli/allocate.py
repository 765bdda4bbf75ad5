"""The command ``allocate``: how a pool of tokens would have been shared out among the samples of stored runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from widthwise.allocating import allocate
from widthwise.cli.display import rows_table, span
from widthwise.cli.settings_options import AsJson, Price, count, text
from widthwise.cli.terminal import say, say_json
from widthwise.core.brief import counted
from widthwise.core.registry import register
from widthwise.core.strategy.composition import shortened

if TYPE_CHECKING:
    from widthwise.evals.allocation.allocations import Allocations
    from widthwise.evals.allocation.comparison import Allocation

_BUDGET = (
    "A pool with the tokens of N samples a problem; may be repeated (default: 4 and 8, as far as there are so many)."
)
_ALLOCATOR = "Which problems get more; may be repeated. Default: all that need no file."
_STRATEGY = "best_of_n, whose n is the most that one problem gets, and an aggregator; default: the first run's."
_ALTERNATIVE = "A run of another strategy on the same problems, which a policy may choose; may be repeated."
_CHOOSE = "With --fit-policy: an aggregator that the policy may choose; may be repeated. Default: the strategy's."
_DIFFICULTY = "With --fit-policy: entropy (the default), disagreement, score, or, for study only, pass_rate."
_FIT = "Fit a policy by difficulty on every second problem, write it here, and report on the others only."
_PROBES = "With --fit-policy: how many samples tell the difficulty (default: 4)."


@register("command", "allocate")
def allocate_runs(
    runs: Annotated[list[Path], typer.Argument(help="Run files or recordings with independent samples.")],
    samples: Annotated[list[int] | None, count(_BUDGET, 1)] = None,
    allocator: Annotated[list[str] | None, text(_ALLOCATOR, "ALLOCATOR")] = None,
    strategy: Annotated[str | None, text(_STRATEGY, "STRATEGY")] = None,
    alternative: Annotated[list[Path] | None, text(_ALTERNATIVE, "RUN.db")] = None,
    fit_policy: Annotated[Path | None, text(_FIT, "POLICY.json")] = None,
    choose: Annotated[list[str] | None, text(_CHOOSE, "AGGREGATOR")] = None,
    difficulty: Annotated[str | None, text(_DIFFICULTY, "NAME")] = None,
    probes: Annotated[int | None, count(_PROBES, 1)] = None,
    orders: Annotated[int, count("In how many random orders the samples are drawn.", 1)] = 20,
    seed: Annotated[int, count("The seed of these orders.")] = 0,
    price: Price = None,
    as_json: AsJson = False,
) -> None:
    """Try allocators of a suite budget on stored samples, at no cost.

    The samples of all runs are one suite. Each allocator gets the tokens that best-of-N takes on average, and is
    compared with best-of-N by problem; costs are in tokens, and in money if prices are known.
    `eval --suite-budget-tokens` does the same live. A policy (`--fit-policy`) says which strategy problems of
    each difficulty get, and how widely; which of several models to ask is what `fit` learns.
    """
    found = allocate(
        *runs,
        samples=samples or None,
        allocators=allocator or None,
        strategy=strategy,
        alternatives=alternative or (),
        fit_policy=fit_policy,
        choose=choose or None,
        difficulty=difficulty,
        probes=probes,
        orders=orders,
        seed=seed,
        prices=price or [],
    )
    if as_json:
        say_json(asdict(found))
    else:
        _show(found)


def _show(found: Allocations) -> None:
    head = f"{shortened(found.strategy)} on {counted(found.problems, 'problem')}"
    say(f"{head}; costs are of all together, differences are from best-of-N, paired by problem")
    if found.fitted_on:
        say(f"the policy was fitted on the other {counted(found.fitted_on, 'problem')}")
    priced = any(row.money is not None for row in found)
    columns = ["N", "method", "accuracy, %", "tokens", *["money"] * priced, "difference, points", "95 % interval"]
    rows_table(columns, [_said(row, priced=priced) for row in found])
    for note in found.notes:
        say(f"note: {note}")


def _said(row: Allocation, *, priced: bool) -> list[str]:
    money = "–" if row.money is None else f"{row.money:,.4g}"
    gap = ["", ""]
    if (found := row.difference) is not None:
        gap = [f"{100 * found.mean:+.2f}", span(found.low, found.high)]
    costs = [f"{row.tokens:,.0f}", *[money] * priced]
    return [str(row.n), row.method, f"{100 * row.accuracy:.2f}", *costs, *gap]
