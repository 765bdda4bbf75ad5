"""Budget curves as figures. The values come from ``curves``; nothing is computed here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from widthwise.core.errors import UsageError
from widthwise.evals.measure.curves import AXES, Axis, Curve
from widthwise.evals.replacement import replacement

FORMATS = (".png", ".svg", ".pdf")

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's palette: told apart by colour-blind readers too."""


def draw(curves: Sequence[Curve], axis: Axis = "samples", *, title: str = "") -> Any:
    """A matplotlib figure: one line with its band per curve and method, budgets on a logarithmic axis.

    Raises ``UsageError`` if no line knows the axis.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    plot = figure.subplots()
    lines = [(curve, line) for curve in curves for line in curve.lines.values() if axis in line.budgets]
    if not lines:
        raise UsageError(f"no run here has measured {AXES[axis]}: choose another axis ({', '.join(AXES)})")
    for i, (curve, line) in enumerate(lines):
        several = curve.label if line.method == "run" else f"{curve.label} {line.method}"
        name = line.method if len(curves) == 1 else several
        _draw_line(plot, line.budgets[axis], line, COLOURS[i % len(COLOURS)], name)
    _scale(
        plot, np.concatenate([line.budgets[axis] for _, line in lines]), 2 if axis in ("samples", "thinking") else 10
    )
    plot.xaxis.set_major_formatter("{x:,.0f}")
    plot.set_xlabel(AXES[axis])
    plot.set_ylabel("accuracy, %")
    plot.set_title(title or curves[0].suite)
    plot.grid(alpha=0.3)
    figure.legend(loc="outside lower left", frameon=False, fontsize="small")
    return figure


def _scale(plot: Any, budgets: Any, base: int) -> None:
    """A logarithmic axis; where there is a budget of nothing, it stands at the left."""
    if budgets.min() > 0:
        plot.set_xscale("log", base=base)
    else:
        plot.set_xscale("symlog", base=base, linthresh=min(budgets[budgets > 0], default=1))


def _draw_line(plot: Any, budgets: Any, line: Any, colour: str, name: str) -> None:
    if len(budgets) == 1:
        spread = [[100 * (line.accuracy[0] - line.low[0])], [100 * (line.high[0] - line.accuracy[0])]]
        plot.errorbar(budgets, 100 * line.accuracy, np.nan_to_num(spread), fmt="o", color=colour, capsize=3, label=name)
        return
    order = np.argsort(budgets, kind="stable")
    plot.plot(budgets[order], 100 * line.accuracy[order], color=colour, label=name)
    plot.fill_between(budgets[order], 100 * line.low[order], 100 * line.high[order], color=colour, alpha=0.15, lw=0)


def save(figure: Any, path: str | Path) -> None:
    """Write a figure as PNG, SVG or PDF, by the name's ending; equal figures give equal files."""
    target = Path(path)
    if target.suffix not in FORMATS:
        raise UsageError(f"cannot draw {target}: its name must end in {', '.join(FORMATS)}")
    import matplotlib

    # Dates and random ids would make every SVG of the same curve another file.
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(target.suffix, {})
    with replacement(target) as file, matplotlib.rc_context({"svg.hashsalt": "widthwise"}):
        figure.savefig(file, format=target.suffix[1:], dpi=150, metadata=undated)
