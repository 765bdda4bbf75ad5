"""The command ``fit``: which of several models to ask when, learned from their runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from widthwise.cli.display import rows_table, span
from widthwise.cli.settings_options import AsJson, Price, count
from widthwise.cli.terminal import say, say_json
from widthwise.core.brief import counted
from widthwise.core.registry import register
from widthwise.core.session.prices import prices_of

if TYPE_CHECKING:
    from widthwise.evals.measure.model_choice import MeasuredChoice

_RUNS = "One run of each model on the same problems, all with one strategy: NAME=RUN.db, the cheapest model first."
_BY = "How far an answer is trusted: agreement (of the run's samples), reward_model, mean_logprob ..."
_BUDGET = "At most X on average per problem: money if prices are known (--price), else sampled tokens."
_PROBES = "With --route: how many samples of the first model it looks at (default: 4)."
_ROUTE = "Learn a route by probes of the first model, instead of a cascade."


@register("command", "fit")
def fit_models(
    runs: Annotated[list[str], typer.Argument(help=_RUNS, metavar="NAME=RUN.db ...")],
    by: Annotated[str, typer.Option(help=_BY)] = "agreement",
    budget: Annotated[float | None, typer.Option(help=_BUDGET)] = None,
    route: Annotated[bool, typer.Option("--route", help=_ROUTE)] = False,
    probes: Annotated[int | None, count(_PROBES, 1)] = None,
    price: Price = None,
    seed: Annotated[int, typer.Option(help="Which problems decide, and which are measured.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Learn from stored runs which of several models to ask when, under a budget; needs no model.

    (Which strategy of one model a problem gets, by difficulty, is what `allocate --fit-policy` learns.)

    One half of the problems decides on the order of the models and their thresholds; the strategy that is found, and
    each model by itself, are measured on the other half.
    """
    from widthwise.evals.measure.model_choice import fit, orders

    found = fit(
        orders(runs),
        kind="route" if route else "cascade",
        by=by,
        budget=budget,
        probes=probes,
        prices=prices_of(price or []),
        seed=seed,
    )
    if as_json:
        say_json(asdict(found))
        return
    cost = f"{found.learned_cost:,.4g}" + " tokens" * (found.unit == "tokens")
    say(f"learned on {counted(found.learned_on, 'problem')} (each cost {cost}), measured on {found.measured_on} others")
    rows = [_row(each) for each in (found.chosen, *found.single)]
    rows_table(["strategy", "accuracy, %", "95 % interval", f"{found.unit} per problem"], rows)


def _row(each: MeasuredChoice) -> list[str]:
    return [each.strategy, f"{100 * each.accuracy:.2f}", span(*each.interval), f"{each.cost:,.4g}"]
