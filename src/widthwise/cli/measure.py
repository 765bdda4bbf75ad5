"""Commands that measure: ``curve`` and ``report``."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from widthwise.cli.display import rows_table
from widthwise.cli.terminal import say, say_json
from widthwise.core.errors import UsageError
from widthwise.core.registry import register

if TYPE_CHECKING:
    from widthwise.evals.measure.axes import Axis
    from widthwise.evals.measure.curves import Curve
    from widthwise.evals.measure.equal_budgets import Point
    from widthwise.evals.measure.intervals import Difference

_log = logging.getLogger(__name__)

_METHODS = "pass, maj, best:SCORE, weighted:SCORE, weighted:1/SCORE or short:M; may be repeated (default: pass, maj)."


@register("command", "curve")
def draw_curve(
    runs: Annotated[list[Path], typer.Argument(help="Run files, or recorded generations (JSONL, Parquet).")],
    axis: Annotated[
        str | None, typer.Option(help="The budget: samples, tokens, sequential or seconds.", show_default="samples")
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help=_METHODS)] = None,
    votes: Annotated[str, typer.Option(help="Answers vote together by meaning or by spelling.")] = "meaning",
    grader: Annotated[
        str | None,
        typer.Option(help="What reads and judges all answers anew: 'math(percent=False)'. Nothing is stored."),
    ] = None,
    replicates: Annotated[int, typer.Option(min=1, help="Resampled sets of problems for the bands.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the resampling.")] = 0,
    laws: Annotated[bool, typer.Option("--laws", help="Fit scaling laws: does it saturate, and where?")] = False,
    out: Annotated[Path | None, typer.Option(help="Draw a figure: .png, .svg or .pdf.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every point as one JSON object.")] = False,
) -> None:
    """Accuracy against budget, from what runs have stored; needs no model.

    Several runs on the same problems are compared at equal budgets. A budget of tokens is one for each problem, and
    buys whole samples in their order, as it does in a run.
    """
    from widthwise.evals.measure.curves import METHODS, curve
    from widthwise.evals.measure.run_names import told_apart
    from widthwise.evals.views.plots import draw, save
    from widthwise.settings import grader_named

    if votes not in ("meaning", "spelling"):
        raise UsageError(f"--votes is meaning or spelling, not {votes!r}")
    judge = None if grader is None else grader_named(grader)
    said: dict[str, Any] = {"grouping": votes, "replicates": replicates, "seed": seed, "grader": judge}
    curves = told_apart([curve(run, methods=method or METHODS, **said) for run in runs])
    budget = _axis(axis, curves)
    if as_json:
        _print_json(curves)
    else:
        for one in curves:
            _print_curve(one, several=len(curves) > 1)
            if laws:
                _print_laws(one)
        if len(curves) > 1:
            print_comparison(curves, budget)
    if out is not None:
        save(draw(curves, budget), out)
        say(f"drawn to {out}", err=True)


@register("command", "report")
def write_report(
    runs: Annotated[list[Path], typer.Argument(help="Run files; several are compared.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    method: Annotated[list[str] | None, typer.Option(help=_METHODS)] = None,
    traces: Annotated[bool, typer.Option(help="Keep the traces' texts in the page.")] = True,
) -> None:
    """One HTML page with curves, tables, costs and all traces; opens from disk, without a network."""
    from widthwise.evals.measure.curves import METHODS
    from widthwise.evals.views.report import write_report

    size = write_report(runs, out, methods=method or METHODS, traces=traces)
    say(f"{out}: {size / 1e6:,.1f} MB", err=True)


def print_comparison(curves: Sequence[Curve], axis: Axis, budgets: Sequence[float] | None = None) -> None:
    """Print what methods do at equal ``budgets``, how far they differ, and the Pareto set.

    Budgets are what the curves end at unless given.
    """
    from widthwise.evals.measure.equal_budgets import against_best, at_budget, matched_budgets, pareto, points

    found = points(curves, axis)
    budgets = budgets or matched_budgets(curves, axis)
    say(f"\nat equal budgets ({axis})")
    matched = [(b, p) for b in budgets for p in at_budget(found, b, curves, axis)]
    rows = [[f"{b:,.0f}", p.marked, f"{p.budget:,.0f}", *_bounds(p)] for b, p in matched]
    rows_table(["budget", "method", "spent", "accuracy, %", "95 % interval"], rows)
    if not all(p.follows for _, p in matched):
        say("note: a method whose one trace is longer than the budget on most problems is in no paired test there")
    say("\ndifferences at the largest budget, paired by problem (p adjusted by Holm)")
    differences = [
        [v.better.name, v.other.name, *_difference(v.difference)]
        for v in against_best(at_budget(found, budgets[-1], curves, axis))
    ]
    rows_table(["better", "than", "by, points", "95 % interval", "p", "detectable, points"], differences)
    say("\nPareto set")
    rows_table(["method", axis, "accuracy, %", "95 % interval"], [[p.name, *_spent(p)] for p in pareto(found)])


def _axis(given: str | None, curves: Sequence[Curve]) -> Axis:
    """The axis that was asked for; else samples for one run, and what several have in common to compare them by."""
    from widthwise.evals.measure.axes import AXES
    from widthwise.evals.measure.equal_budgets import common_problems, shared_axis

    if given is not None and given not in AXES:
        raise UsageError(f"--axis is one of {', '.join(AXES)}, not {given!r}")
    if len(curves) > 1:
        common_problems(curves)
    usual: Axis = "samples" if len(curves) == 1 else shared_axis(curves)
    named: dict[str, Axis] = {axis: axis for axis in AXES}
    return usual if given is None else named[given]


def _print_curve(curve: Curve, *, several: bool) -> None:
    head = ", ".join(filter(None, [curve.suite, curve.model, f"{len(curve.problems)} problems"]))
    say(f"\n{curve.label} ({head})" if several else head)
    rows = []
    for line in curve.lines.values():
        for i in _shown(len(line.k)):
            costs = [
                f"{line.budgets[axis][i]:,.0f}" if axis in line.budgets else "–" for axis in ("tokens", "sequential")
            ]
            error = f"{100 * line.sampling_error[i]:.2f}" if line.sampling_error[i] else "exact"
            bounds = span(line.low[i], line.high[i])
            rows.append([line.method, str(line.k[i]), *costs, f"{100 * line.accuracy[i]:.2f}", bounds, error])
    columns = ["method", "k", "tokens", "sequential", "accuracy, %", "95 % interval", "Monte-Carlo error"]
    rows_table(columns, rows)
    for note in curve.notes:
        say(f"note: {note}")


def _print_laws(curve: Curve) -> None:
    """Print the laws fitted to each line of a curve, with what they predict of its last point."""
    from widthwise.evals.measure.scaling import BetaLaw, CeilingLaw, LogLaw, PowerLaw, SaturatingLaw, fit_curve

    rows = []
    for line in curve.lines.values():
        for law in (PowerLaw, BetaLaw, SaturatingLaw) if line.method == "pass" else (LogLaw, CeilingLaw, SaturatingLaw):
            try:
                found = fit_curve(law, line.scores)
            except ValueError as error:
                _log.warning("%s of %s is left out: %s", law.__name__, line.method, error)
                continue
            spans = [f"{n} {getattr(found.law, n):.3g} [{found.low[n]:.3g}, {found.high[n]:.3g}]" for n in found.low]
            stops = f"k = {found.law.saturation()}" if isinstance(found.law, BetaLaw | SaturatingLaw) else "–"
            checked = f"{100 * found.predicted:.2f} / {100 * found.observed:.2f}"
            rows.append([line.method, law.__name__, ", ".join(spans), checked, stops])
    say("")
    rows_table(
        ["method", "law", "parameters", "last point predicted / seen, %", "next sample adds under 1 point"], rows
    )
    say("note: a law that misses the last point should not be extrapolated; none holds beyond four times it")


def _shown(points: int) -> list[int]:
    """Positions of the powers of two, and of the last point."""
    return sorted({2**i - 1 for i in range(points.bit_length())} | {points - 1})


def _bounds(point: Point) -> list[str]:
    return [f"{100 * point.accuracy:.2f}", span(point.low, point.high)]


def _spent(point: Point) -> list[str]:
    return [f"{point.budget:,.0f}", *_bounds(point)]


def _difference(found: Difference) -> list[str]:
    bounds = span(found.low, found.high)
    return [f"{100 * found.mean:.2f}", bounds, chance(found.p), f"{100 * found.detectable:.1f}"]


def chance(p: float) -> str:
    """A probability, which is never nothing."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def span(low: float, high: float) -> str:
    """An interval of fractions of 1 in per cent; a dash where it is not known."""
    return "–" if math.isnan(low) else f"{100 * low:.2f} to {100 * high:.2f}"


def _print_json(curves: Sequence[Curve]) -> None:
    shown = [
        {"run": c.path, "label": c.label, "suite": c.suite, "model": c.model, "notes": c.notes}
        | {"points": {name: [_known(value) for value in column] for name, column in c.table().items()}}
        for c in curves
    ]
    say_json({"curves": shown})


def _known(value: Any) -> Any:
    """JSON has no word for a number that is not known but null."""
    return None if isinstance(value, float) and math.isnan(value) else value
