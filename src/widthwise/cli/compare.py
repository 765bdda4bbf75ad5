"""The command ``compare``: finished runs side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from widthwise.cli.display import chance, rows_table, span
from widthwise.cli.settings_options import AsJson, Price, count
from widthwise.cli.terminal import known, say, say_json
from widthwise.core.brief import counted
from widthwise.core.registry import register
from widthwise.core.session.prices import prices_of
from widthwise.core.strategy.composition import shortened

if TYPE_CHECKING:
    from widthwise.evals.measure.intervals import Difference
    from widthwise.evals.measure.standings import Standing
    from widthwise.evals.measure.trials import Reliability

    Named = Sequence[tuple[str, Standing]]

_RELIABILITY = (
    "How reliable single samples are: all (pass^k), gpass:SHARE (G-Pass@k) or mgpass; may be repeated "
    "(default: all, gpass:0.75)."
)
_K = "Reliability is of N samples; default: as many as all runs with several have, at most 8."


@register("command", "compare")
def compare_runs(
    runs: Annotated[list[Path], typer.Argument(help="Run files; the others are compared with the first.")],
    price: Price = None,
    reliability: Annotated[list[str] | None, typer.Option(help=_RELIABILITY)] = None,
    k: Annotated[int | None, count(_K, 1)] = None,
    as_json: AsJson = False,
) -> None:
    """What runs answered right and what they spent, and how far each is from the first.

    Only problems that all runs have finished count. Token counts are means over problems; differences are paired by
    problem, with bootstrapped 95 % intervals and McNemar's p adjusted by Holm. The second table splits each difference
    into three parts that add up to it: sampling (what one sample is worth), coverage (how far the best of the samples
    is ahead of one) and selection (how far the answer falls short of the best). The third says how reliable single
    samples are: how often k of them are all right, or most of them. `curve` and `report` show what single samples
    achieve at other budgets; this command compares the strategies' own answers.
    """
    from widthwise.evals.measure.standings import standings
    from widthwise.evals.measure.trials import MEASURES

    found = standings(runs, prices_of(price or []), reliability=reliability or MEASURES, k=k)
    if as_json:
        say_json({"runs": [known(asdict(each)) for each in found]})
        return
    say(f"{found[0].suite}: {counted(found[0].problems, 'problem')} finished by every run; tokens are means over them")
    named = list(zip(_names(found), found, strict=True))
    for show in (_show_answers, _show_samples, _show_reliability, _show_unlike, _show_notes):
        show(named)


def _names(found: Sequence[Standing]) -> list[str]:
    """What each run is called: its file's name, or the path where several files have that name."""
    files = Counter(Path(run).stem for run in {each.run for each in found})
    return [each.run if files[stem := Path(each.run).stem] > 1 else stem for each in found]


def _show_answers(found: Named) -> None:
    """What the strategies' answers are worth, and what they cost."""
    columns = ["run", "strategy", "accuracy, %", "95 % interval", "against the first", "95 % interval", "p"]
    costs = [name for name in _COSTS if name not in ("flops", "money") or any(name in each.costs for _, each in found)]
    rows = [[run, *_said(each), *(_spent(each.costs, name) for name in costs)] for run, each in found]
    rows_table([*columns, *(_COSTS[name] for name in costs)], rows)


def _show_samples(found: Named) -> None:
    """What the samples are worth, and the parts of each difference."""
    from widthwise.evals.measure.gain import PARTS

    reached = ["run", "one sample, %", "coverage, %", "efficiency, %", "95 % interval"]
    parts = [said for part in PARTS for said in (f"by {part}", "95 % interval")]
    rows_table([*reached, *parts], [[run, *_reached(each), *_split(each)] for run, each in found])


def _show_reliability(found: Named) -> None:
    """How reliable single samples are, where that is known of any run."""
    columns = ["run", "of its samples", "%", "95 % interval", "against the first", "95 % interval", "p"]
    rows = [[run, one.name, *_reliable(one)] for run, each in found for one in each.reliability]
    if rows:
        rows_table(columns, rows)


def _show_unlike(found: Named) -> None:
    """What else than their strategies sets the runs apart."""
    for name, each in found:
        if each.differs:
            say(f"note: {name}: besides its strategy, it differs from {found[0][0]} in {each.differs}")
        if each.left_out:
            left_out = counted(each.left_out, "finished problem")
            say(f"note: {name}: {left_out} left out: not every run has finished the same")
        if each.failed:
            say(
                f"note: {name}: something failed on {counted(each.failed, 'problem')}: "
                f"`widthwise traces {quote(each.run)}` "
                "lists them, and the same `widthwise eval` tries them again"
            )


def _show_notes(found: Named) -> None:
    for name, each in found:
        if each.no_reliability:
            say(f"note: {name}: its reliability is not known: {each.no_reliability}")
    for why in dict.fromkeys(each.no_money for _, each in found if each.no_money):
        unpriced = ", ".join(name for name, each in found if each.no_money == why)
        say(f"note: {unpriced}: money is not known: {why}")
    for name, each in found:
        if each.copies is not None and each.copies.note:
            say(f"note: {name}: {each.copies.note}")
        if each.cut:
            short = f"{100 * each.cut:.0f} % of the problems"
            say(f"note: {name}: its budget does not buy one whole trace on {short}")
    if any(each.difference is None for _, each in found[1:]):
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
    said = [shortened(standing.strategy), f"{100 * standing.accuracy:.2f}"]
    return [*said, span(*standing.interval), *_gained(standing.difference)]


def _reliable(of: Reliability) -> list[str]:
    return [f"{100 * of.mean:.2f}", span(of.low, of.high), *_gained(of.difference)]


def _gained(gap: Difference | None) -> list[str]:
    return ["", "", ""] if gap is None else [f"{100 * gap.mean:+z.2f}", span(gap.low, gap.high), chance(gap.p)]


def _reached(standing: Standing) -> list[str]:
    """What its samples reach, and which share of that its answers have got."""
    got = standing.efficiency
    efficiency = ["–", ""] if got is None else [f"{100 * got.mean:.1f}", span(got.low, got.high)]
    reached = ["–" if each is None else f"{100 * each:.2f}" for each in (standing.one_sample, standing.coverage)]
    return [*reached, *efficiency]


def _split(standing: Standing) -> list[str]:
    """The parts of its difference from the first run."""
    if standing.split is None:
        return [""] * 6
    shares = (standing.split.sampling, standing.split.coverage, standing.split.selection)
    return [said for part in shares for said in (f"{100 * part.mean:+z.2f}", span(part.low, part.high))]


def _spent(costs: Mapping[str, float], name: str) -> str:
    return _amount(name, costs[name]) if name in costs else "–"


def _amount(name: str, value: float) -> str:
    return f"{value:,.4g}" if name in ("money", "flops") else f"{value:,.{2 if name == 'seconds' else 0}f}"
