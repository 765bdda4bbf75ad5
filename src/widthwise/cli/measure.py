"""Commands that measure: ``curve`` and ``report``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from widthwise.cli.display import rows_table, span
from widthwise.cli.law_fits import fits_of, print_fits
from widthwise.cli.matched import show_matched
from widthwise.cli.settings_options import AsJson, Price
from widthwise.cli.terminal import known, say, say_json
from widthwise.core.brief import counted
from widthwise.core.errors import UsageError
from widthwise.core.registry import register
from widthwise.core.session.prices import prices_of

if TYPE_CHECKING:
    from widthwise.evals.measure.axes import Axis
    from widthwise.evals.measure.curves import Curve

Axes = Annotated[
    str | None,
    typer.Option(help="samples, tokens, sequential, seconds, flops or money: the budget.", show_default="samples"),
]
_GRADER = "The grader that reads and grades all answers anew: 'math(percent=False)'. Nothing is stored."
Anew = Annotated[str | None, typer.Option(help=_GRADER)]
_METHODS = (
    "pass, maj, best:SCORE, weighted:SCORE, weighted:1/SCORE or short:M; of reliability, all (pass^k), gpass:SHARE "
    "(G-Pass@k) or mgpass; may be repeated (default: pass, maj)."
)


@register("command", "curve")
def draw_curve(
    runs: Annotated[list[Path], typer.Argument(help="Run files, or recorded generations (JSONL, Parquet).")],
    axis: Axes = None,
    method: Annotated[list[str] | None, typer.Option(help=_METHODS)] = None,
    votes: Annotated[str, typer.Option(help="Answers vote together by meaning or by spelling.")] = "meaning",
    grader: Anew = None,
    price: Price = None,
    replicates: Annotated[int, typer.Option(min=1, help="Resampled sets of problems for the bands.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the resampling.")] = 0,
    laws: Annotated[bool, typer.Option("--laws", help="Fit scaling laws: does it saturate, and where?")] = False,
    out: Annotated[Path | None, typer.Option(help="Draw a figure: .png, .svg or .pdf.")] = None,
    as_json: AsJson = False,
) -> None:
    """Accuracy against budget, from what runs have stored; needs no model.

    Several runs on the same problems are compared at equal budgets. A token budget applies to each problem, and buys
    whole samples in their order, as in a run.
    """
    from widthwise.evals.views.plots import draw, drawable, save

    if votes not in ("meaning", "spelling"):
        raise UsageError(f"--votes is meaning or spelling, not {votes!r}")
    if out is not None:
        drawable(out)  # a name that will not do is said before the measuring, not after it
    curves = _curves(runs, method, grader, price, grouping=votes, replicates=replicates, seed=seed)
    budget = _axis(axis, curves)
    _say_curves(curves, budget, laws, as_json)
    if out is not None:
        save(draw(curves, budget), out)
        say(f"drawn to {out}", err=True)


@register("command", "report")
def write_report(
    runs: Annotated[list[Path], typer.Argument(help="Run files; several are compared.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    method: Annotated[list[str] | None, typer.Option(help=_METHODS)] = None,
    traces: Annotated[bool, typer.Option(help="Keep the traces' texts in the page.")] = True,
    price: Price = None,
    as_json: AsJson = False,
) -> None:
    """One HTML page with curves, tables, costs and all traces; opens from disk, without a network."""
    from widthwise.evals.measure.curves import METHODS
    from widthwise.evals.measure.run_prices import check_known
    from widthwise.evals.views.report import write_report

    given = prices_of(price or [])
    check_known(given, runs)
    size = write_report(runs, out, methods=method or METHODS, traces=traces, prices=given)
    say(f"{out}: {size / 1e6:,.1f} MB" if size >= 1e6 else f"{out}: {size / 1e3:,.0f} kB", err=True)
    if as_json:
        say_json({"report": str(out), "bytes": size, "runs": list(map(str, runs))})


def _curves(
    runs: Sequence[Path], methods: Sequence[str] | None, grader: str | None, price: Sequence[str] | None, **said: Any
) -> list[Curve]:
    """The curves of ``runs``, by names that differ."""
    from widthwise.evals.measure.curves import METHODS, curve
    from widthwise.evals.measure.run_names import told_apart
    from widthwise.evals.measure.run_prices import check_known
    from widthwise.given_grader import grader_named

    said |= {"grader": None if grader is None else grader_named(grader), "prices": prices_of(price or [])}
    check_known(said["prices"], runs)
    return told_apart([curve(run, methods=methods or METHODS, **said) for run in runs])


def _say_curves(curves: Sequence[Curve], axis: Axis, laws: bool, as_json: bool) -> None:
    from widthwise.evals.measure.matched import Matched

    fits = [fits_of(one) if laws else None for one in curves]
    matched = Matched.of(curves, axis) if len(curves) > 1 else None
    if as_json:
        rows = [{**_curve_row(one), "laws": found} for one, found in zip(curves, fits, strict=True)]
        say_json({"curves": rows, "comparison": matched and known(matched.asdict())})
        return
    for one, found in zip(curves, fits, strict=True):
        _print_curve(one, axis, several=len(curves) > 1)
        if found is not None:
            print_fits(found)
    if matched is not None:
        show_matched(matched)


def _axis(given: str | None, curves: Sequence[Curve]) -> Axis:
    """The requested axis; else samples for one run, and what several runs have in common."""
    from widthwise.evals.measure.axes import AXES, not_measured
    from widthwise.evals.measure.equal_budgets import common_problems, shared_axis

    if given is not None and given not in AXES:
        raise UsageError(f"--axis is one of {', '.join(AXES)}, not {given!r}")
    if len(curves) > 1:
        common_problems(curves)
    usual: Axis = "samples" if len(curves) == 1 else shared_axis(curves)
    lacking = [one.path for one in curves if not any(given in line.budgets for line in one.lines.values())]
    if given is not None and lacking:
        raise not_measured(given, *(lacking if len(lacking) < len(curves) else ()))
    return usual if given is None else given


def _print_curve(curve: Curve, axis: Axis, *, several: bool) -> None:
    from widthwise.evals.measure.axes import amount

    paid = ["money"] * any("money" in line.budgets for line in curve.lines.values())
    shown = [*dict.fromkeys(("tokens", "sequential", *[axis] * (axis != "samples"), *paid))]
    head = ", ".join(filter(None, [curve.suite, curve.model, counted(len(curve.problems), "problem")]))
    say(f"\n{curve.label} ({head})" if several else head)
    rows = []
    for line in curve.lines.values():
        for i in _shown(len(line.k)):
            costs = [amount(line.budgets[cost][i]) if cost in line.budgets else "–" for cost in shown]
            error = f"{100 * line.sampling_error[i]:.2f}" if line.sampling_error[i] else "exact"
            bounds = span(line.low[i], line.high[i])
            got = line.efficiencies[i]
            chosen = "" if math.isnan(got) else f"{100 * got:.1f}"
            rows.append([line.method, str(line.k[i]), *costs, f"{100 * line.accuracy[i]:.2f}", bounds, chosen, error])
    columns = ["method", "k", *shown, "accuracy, %", "95 % interval", "efficiency, %", "Monte-Carlo error"]
    rows_table(columns, rows)
    for note in curve.notes:
        say(f"note: {note}")


def _shown(points: int) -> list[int]:
    """Positions of the powers of two, and of the last point."""
    return sorted({2**i - 1 for i in range(points.bit_length())} | {points - 1})


def _curve_row(curve: Curve) -> dict[str, Any]:
    said = {"run": curve.path, "label": curve.label, "suite": curve.suite, "model": curve.model, "notes": curve.notes}
    return {**said, "points": known(curve.table())}
