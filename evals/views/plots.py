"""Budget curves as figures. The values come from what is drawn; nothing is computed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from widthwise.core.arrays import DoubleArray
from widthwise.core.drawing import COLOURS, axes_for, plain
from widthwise.core.errors import UsageError
from widthwise.evals.measure.axes import AXES, Axis, amount, labelled, not_measured
from widthwise.evals.replacement import replacement

FORMATS = (".png", ".svg", ".pdf")


class Drawn(Protocol):
    """A line with its band: one element per point; see ``CurveLine``."""

    @property
    def method(self) -> str: ...

    @property
    def budgets(self) -> Mapping[Axis, DoubleArray]: ...

    @property
    def accuracy(self) -> DoubleArray: ...

    @property
    def low(self) -> DoubleArray: ...

    @property
    def high(self) -> DoubleArray: ...


class Lined(Protocol):
    """Lines under one name; see ``Curve``."""

    @property
    def label(self) -> str: ...

    @property
    def suite(self) -> str: ...

    @property
    def lines(self) -> Mapping[str, Drawn]: ...


def draw(curves: Sequence[Lined], axis: Axis = "samples", *, title: str = "", ax: Any = None) -> Any:
    """A matplotlib figure: one line with its band per curve and method, budgets on a logarithmic axis.

    ``ax`` are matplotlib axes to draw in, instead of a new figure's. Raises ``UsageError`` if no line has the axis.
    """
    lines = [(curve, line) for curve in curves for line in curve.lines.values() if axis in line.budgets]
    if not lines:
        raise not_measured(axis)
    figure, plot = axes_for(ax)
    for i, (curve, line) in enumerate(lines):
        several = curve.label if line.method == "run" else f"{curve.label} {line.method}"
        name = line.method if len(curves) == 1 and line.method != "run" else several
        _draw_line(plot, line.budgets[axis], line, COLOURS[i % len(COLOURS)], plain(name))
    _scale(
        plot,
        np.concatenate([line.budgets[axis] for _, line in lines]),
        10 if axis in ("tokens", "sequential", "seconds", "flops") else 2,
    )
    plot.set_xlabel(labelled(axis))
    _finish(figure, plot, title or curves[0].suite, apart=ax is None)
    return figure


def draw_points(
    names: Sequence[str], places: Sequence[tuple[float, float, float, float]], *, title: str = "", ax: Any = None
) -> Any:
    """A matplotlib figure: one point with its interval per name; ``places`` are tokens, accuracy, low and high."""
    figure, plot = axes_for(ax)
    for i, (name, (tokens, accuracy, low, high)) in enumerate(zip(names, places, strict=True)):
        spread = [[100 * (accuracy - low)], [100 * (high - accuracy)]]
        colour = COLOURS[i % len(COLOURS)]
        plot.errorbar([tokens], [100 * accuracy], spread, fmt="o", color=colour, capsize=3, label=plain(name))
    plot.set_xlabel(AXES["tokens"])
    _finish(figure, plot, title, apart=ax is None)
    return figure


def _finish(figure: Any, plot: Any, title: str, *, apart: bool) -> None:
    """What all figures of accuracies have; the legend is placed ``apart`` if the figure is theirs alone."""
    plot.xaxis.set_major_formatter(lambda budget, _: amount(budget))
    plot.set_ylabel("accuracy, %")
    plot.set_title(plain(title))
    plot.grid(alpha=0.3)
    if apart:
        figure.legend(loc="outside lower left", frameon=False, fontsize="small")
    else:
        plot.legend(frameon=False, fontsize="small")


def _scale(plot: Any, budgets: Any, base: int) -> None:
    """A logarithmic axis; a budget of zero is placed at the left."""
    if budgets.min() > 0:
        plot.set_xscale("log", base=base)
    else:
        plot.set_xscale("symlog", base=base, linthresh=min(budgets[budgets > 0], default=1))


def _draw_line(plot: Any, budgets: Any, line: Drawn, colour: str, name: str) -> None:
    if len(budgets) == 1:
        spread = [[100 * (line.accuracy[0] - line.low[0])], [100 * (line.high[0] - line.accuracy[0])]]
        plot.errorbar(budgets, 100 * line.accuracy, np.nan_to_num(spread), fmt="o", color=colour, capsize=3, label=name)
        return
    order = np.argsort(budgets, kind="stable")
    plot.plot(budgets[order], 100 * line.accuracy[order], color=colour, label=name)
    plot.fill_between(budgets[order], 100 * line.low[order], 100 * line.high[order], color=colour, alpha=0.15, lw=0)


def drawable(path: str | Path) -> Path:
    """The path of a figure; raises ``UsageError`` if its name is not that of one."""
    target = Path(path)
    if target.suffix not in FORMATS:
        raise UsageError(f"cannot draw {target}: its name must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    return target


def save(figure: Any, path: str | Path) -> None:
    """Write a figure as PNG, SVG or PDF, by the name's extension; equal figures give equal files."""
    import matplotlib

    target = drawable(path)

    # Dates and random ids would make every SVG of the same curve a different file.
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(target.suffix, {})
    with replacement(target) as file, matplotlib.rc_context({"svg.hashsalt": "widthwise"}):
        figure.savefig(file, format=target.suffix[1:], dpi=150, metadata=undated)
