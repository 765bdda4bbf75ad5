"""The command ``compare``: finished runs side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from widthwise.cli.display import chance, rows_table, span
from widthwise.cli.settings_options import AsJson, Price
from widthwise.cli.terminal import say, say_json
from widthwise.core.brief import counted
from widthwise.core.registry import register
from widthwise.core.session.prices import prices_of
from widthwise.core.strategy.composition import shortened

if TYPE_CHECKING:
    from widthwise.evals.measure.standings import Standing


@register("command", "compare")
def compare_runs(
    runs: Annotated[list[Path], typer.Argument(help="Run files; the others are compared with the first.")],
    price: Price = None,
    as_json: AsJson = False,
) -> None:
    """What runs answered right and what they spent, and how far each is from the first.

    Only problems that all runs have finished count. Token counts are means over problems; differences are paired by
    problem, with bootstrapped 95 % intervals and McNemar's p adjusted by Holm. The second table splits each difference
    into three parts that add up to it: sampling (what one sample is worth), coverage (how far the best of the samples
    is ahead of one) and selection (how far the answer falls short of the best). `curve` and `report` show what single
    samples achieve at other budgets; this command compares the strategies' own answers.
    """
    from widthwise.evals.measure.gain import PARTS
    from widthwise.evals.measure.standings import standings

    found = standings(runs, prices_of(price or []))
    if as_json:
        say_json({"runs": [asdict(each) for each in found]})
        return
    say(f"{found[0].suite}: {counted(found[0].problems, 'problem')} finished by every run; tokens are means over them")
    columns = ["run", "strategy", "accuracy, %", "95 % interval", "against the first", "95 % interval", "p"]
    costs = [name for name in _COSTS if name not in ("flops", "money") or any(name in each.costs for each in found)]
    rows = [[*_said(each), *(_spent(each.costs, name) for name in costs)] for each in found]
    rows_table([*columns, *(_COSTS[name] for name in costs)], rows)
    reached = ["run", "one sample, %", "coverage, %", "efficiency, %", "95 % interval"]
    parts = [said for part in PARTS for said in (f"by {part}", "95 % interval")]
    rows_table([*reached, *parts], [[*_reached(each), *_split(each)] for each in found])
    for why in dict.fromkeys(each.no_money for each in found if each.no_money):
        unpriced = ", ".join(Path(each.run).stem for each in found if each.no_money == why)
        say(f"note: {unpriced}: money is not known: {why}")
    for each in found:
        if each.copies is not None and each.copies.note:
            say(f"note: {Path(each.run).stem}: {each.copies.note}")
        if each.cut:
            short = f"{100 * each.cut:.0f} % of the problems"
            say(f"note: {Path(each.run).stem}: its budget does not buy one whole trace on {short}")
    if any(each.difference is None for each in found[1:]):
        say("note: if that holds for most problems, there is no paired test")


_COSTS = {
    "sampled": "sampled",
    "judging": "judging",
    "scoring": "scoring",
    "sequential": "sequential",
    "flops": "FLOPs",
    "kv_mean": "held by node",
    "kv_content_mean": "by content",
    "kv_rounds": "over rounds",
    "seconds": "s",
    "money": "money",
}


def _said(standing: Standing) -> list[str]:
    gap = standing.difference
    said = [Path(standing.run).stem, shortened(standing.strategy), f"{100 * standing.accuracy:.2f}"]
    gained = ["", "", ""] if gap is None else [f"{100 * gap.mean:+.2f}", span(gap.low, gap.high), chance(gap.p)]
    return [*said, span(*standing.interval), *gained]


def _reached(standing: Standing) -> list[str]:
    """What its samples reach, and which share of that its answers have got."""
    got = standing.efficiency
    efficiency = ["-", ""] if got is None else [f"{100 * got.mean:.1f}", span(got.low, got.high)]
    return [Path(standing.run).stem, f"{100 * standing.one_sample:.2f}", f"{100 * standing.coverage:.2f}", *efficiency]


def _split(standing: Standing) -> list[str]:
    """The parts of its difference from the first run."""
    if standing.split is None:
        return [""] * 6
    shares = (standing.split.sampling, standing.split.coverage, standing.split.selection)
    return [said for part in shares for said in (f"{100 * part.mean:+.2f}", span(part.low, part.high))]


def _spent(costs: Mapping[str, float], name: str) -> str:
    return _amount(name, costs[name]) if name in costs else "-"


def _amount(name: str, value: float) -> str:
    return f"{value:,.4g}" if name in ("money", "flops") else f"{value:,.{2 if name == 'seconds' else 0}f}"
