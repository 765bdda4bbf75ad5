"""The command ``allocate``: how a pool of tokens would have been shared out among the samples of stored runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from widthwise.cli.display import rows_table, span
from widthwise.cli.settings_options import AsJson, count, text
from widthwise.cli.terminal import say, say_json
from widthwise.core.brief import counted
from widthwise.core.errors import UsageError
from widthwise.core.registry import register

if TYPE_CHECKING:
    from widthwise.core.strategy.strategy import Strategy
    from widthwise.evals.allocation.comparison import Row
    from widthwise.evals.measure.sample_pool import SamplePool

_BUDGET = "A pool with the tokens of N samples a problem; may be repeated (default: 4 and 8)."
_ALLOCATOR = "Which problems get more; may be repeated. Default: all that need no file."
_STRATEGY = "best_of_n, whose n is the most that one problem gets, and an aggregator; default: the first run's."
_ALTERNATIVE = "A run of another strategy on the same problems, which a policy may choose; may be repeated."
_CHOOSE = "With --fit-policy: an aggregator that the policy may choose; may be repeated. Default: the strategy's."
_DIFFICULTY = "With --fit-policy: entropy (the default), disagreement, score, or, for study only, pass_rate."
_FIT = "Fit a policy by difficulty on every second problem, write it here, and report on the others only."
_PROBES = "With --fit-policy: how many samples tell the difficulty (default: 4)."


@register("command", "allocate")
def allocate(
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
    as_json: AsJson = False,
) -> None:
    """Try allocators of a suite budget on stored samples, at no cost.

    The samples of all runs are one suite. Each allocator gets the tokens that best-of-N takes on average, and is
    compared with best-of-N by problem. `eval --suite-budget-tokens` does the same live. A policy
    (`--fit-policy`) says which strategy problems of each difficulty get, and how widely; which of
    several models to ask is what `fit` learns.
    """
    from widthwise.evals.allocation.allocators import ExpectedGain, Uniform, allocator_named
    from widthwise.evals.allocation.alternatives import answers_in
    from widthwise.evals.allocation.comparison import compared, pools_in, strategy_in
    from widthwise.evals.allocation.policy import aggregator_of
    from widthwise.settings import as_any_strategy

    options: dict[str, Any] = {"choose": choose, "difficulty": difficulty, "probes": probes}
    given = {name: value for name, value in options.items() if value not in (None, [])}
    if given and fit_policy is None:
        raise UsageError(
            f"--{next(iter(given))} says how a policy is fitted: give --fit-policy POLICY.json, too, or leave it out"
        )
    chosen = as_any_strategy(strategy) if strategy else strategy_in(runs[0])
    allocators = [allocator_named(each) for each in allocator or ()] or [Uniform(), ExpectedGain()]
    known = [aggregator for each in allocators for aggregator in each.aggregators]
    pools = pools_in(runs, [chosen.aggregator, *known, *map(aggregator_of, choose or ())])
    drawn: dict[str, Any] = {"answers": answers_in(alternative or (), runs), "orders": orders, "seed": seed}
    if fit_policy is not None:
        if len(pools) < 2:
            raise UsageError("a policy is fitted on one half of the problems and tried on the other: give at least two")
        _fit(pools[::2], chosen, fit_policy, **drawn, **given)
        allocators.append(allocator_named(f"fitted(policy={str(fit_policy)!r})"))
        pools = pools[1::2]
    rows = [row for n in samples or (4, 8) for row in compared(pools, chosen, allocators, n, **drawn)]
    _show(rows, len(pools), chosen, as_json)


def _fit(
    pools: Sequence[SamplePool], strategy: Strategy, path: Path, choose: Sequence[str] = (), **options: Any
) -> None:
    from widthwise.evals.allocation.confidence import chance_score
    from widthwise.evals.allocation.fitting import fit

    aggregator = "majority_vote()" if strategy.aggregator is None else str(strategy.aggregator)
    fit(pools, choose or [aggregator], score=chance_score(strategy), **options).write(path)


def _show(rows: Sequence[Row], problems: int, strategy: Strategy, as_json: bool) -> None:
    if as_json:
        say_json({"strategy": str(strategy), "problems": problems, "rows": [asdict(row) for row in rows]})
        return
    say(f"{strategy.brief()} on {counted(problems, 'problem')}; differences are from best-of-N, paired by problem")
    columns = ["N", "method", "accuracy, %", "tokens", "difference, points", "95 % interval"]
    rows_table(columns, [_said(row) for row in rows])


def _said(row: Row) -> list[str]:
    found = row.difference
    gap = ["", ""] if found is None else [f"{100 * found.mean:+.2f}", span(found.low, found.high)]
    return [str(row.n), row.method, f"{100 * row.accuracy:.2f}", f"{row.tokens:,.0f}", *gap]
