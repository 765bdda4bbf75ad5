"""The figure of `docs/effects.md`: one small plot per effect, what the paper reports beside what shows here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

OURS, PAPER = "#1f77b4", "#999999"


@dataclass(frozen=True, slots=True)
class Panel:
    """An effect in one unit: the range that the paper reports (None: it reports none in this unit), ours, the bar.

    ``none`` is the value of no effect, and ``cost`` what a saving costs in accuracy.
    """

    name: str
    unit: str
    published: tuple[float, float] | None
    here: tuple[float, float, float]
    bar: float
    none: float
    cost: str = ""


def draw(panels: Sequence[Panel]) -> Any:
    """A matplotlib figure; every panel has its own axis, because ratios and points do not share one."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.5 + 0.95 * len(panels)), layout="constrained")
    for panel, plot in zip(panels, figure.subplots(len(panels), squeeze=False)[:, 0], strict=True):
        _draw(panel, plot)
    return figure


def _draw(panel: Panel, plot: Any) -> None:
    ours, low, high = panel.here
    if panel.published:
        plot.plot(panel.published, (1, 1), color=PAPER, marker="|", ms=9, mew=4, lw=4, solid_capstyle="butt")
    plot.errorbar([ours], [0], xerr=[[ours - low], [high - ours]], fmt="o", color=OURS, capsize=3)
    plot.axvline(panel.bar, color="black", ls=":", lw=1)
    plot.axvline(panel.none, color="black", lw=1)
    plot.set_yticks((0, 1), ("here", "published" if panel.published else "(no figure)"))
    plot.set_ylim(-0.7, 1.7)
    plot.set_title(f"{panel.name}: {panel.unit}{panel.cost} (dotted: the bar)", loc="left", fontsize="small")
    plot.grid(alpha=0.3, axis="x")
