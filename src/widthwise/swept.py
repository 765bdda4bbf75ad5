"""A finished sweep."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.core import notebook
from widthwise.core.brief import counted
from widthwise.core.tabular import Plotted

if TYPE_CHECKING:
    from widthwise.core.session.prices import Prices
    from widthwise.evals.measure.axes import Axis
    from widthwise.evals.measure.curves import Curve
    from widthwise.evals.measure.sweep import SweepPlan


@dataclass(frozen=True, slots=True, eq=False)
class Sweep(Plotted):
    """A finished sweep: ``curves`` have one point per budget, one curve per suite and strategy.

    ``runs`` are the files they were read from. ``failures`` counts problems that failed for good. ``prices`` are those
    that were given, and laid over those of the files.
    """

    plan: SweepPlan
    curves: tuple[Curve, ...]
    runs: tuple[Path, ...]
    failures: int = 0
    prices: Prices = field(default_factory=dict)

    @property
    def suites(self) -> list[str]:
        """The suites by name, in their order."""
        return list(dict.fromkeys(curve.suite for curve in self.curves))

    def on(self, suite: str) -> list[Curve]:
        """The curves of one suite, ready to be compared."""
        return [curve for curve in self.curves if curve.suite == suite]

    def files(self, suite: str) -> list[Path]:
        """The run files of one suite."""
        named = [task.suite for task in self.plan.tasks]
        return [run for run, of in zip(self.runs, named, strict=True) if of == suite]

    def part(self, suite: str) -> Sweep:
        """The sweep of one suite alone; the failures are those of all suites."""
        plan = replace(self.plan, cells=tuple(cell for cell in self.plan.cells if cell.suite == suite))
        return Sweep(plan, tuple(self.on(suite)), tuple(self.files(suite)), self.failures, self.prices)

    def table(self) -> dict[str, list[Any]]:
        """One row per suite, strategy and budget: what it was allowed, what it spent, and its accuracy with bounds."""
        rows: list[dict[str, Any]] = []
        for curve in self.curves:
            said = {"suite": curve.suite, "model": curve.model, "strategy": curve.label}
            columns = _columns(curve)
            rows += [{**said, **dict(zip(columns, row, strict=True))} for row in zip(*columns.values(), strict=True)]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def plot(self, suite: str | None = None, *, axis: Axis | None = None, ax: Any = None) -> Any:
        """Accuracy against budget, one line per strategy, on one suite (by default the first): a matplotlib figure.

        ``axis`` is the sweep's own unless given; the figure is drawn into ``ax`` if given.
        """
        from widthwise.evals.views.plots import draw

        return draw(self.on(suite or self.suites[0]), axis or self.plan.axis, ax=ax)

    def __repr__(self) -> str:
        each = counted(len(self.on(self.suites[0])), "strategy", "strategies")
        failed = f", {counted(self.failures, 'failure')}" if self.failures else ""
        return f"Sweep({each} on {', '.join(self.suites)[:100]}, {counted(len(self.runs), 'run')}{failed})"

    def _repr_html_(self) -> str:
        from widthwise.core.drawing import picture

        pictures = "".join(picture(self.plot(suite)) for suite in self.suites)
        return notebook.heading(repr(self)) + notebook.table(self.table()) + pictures


def _columns(curve: Curve) -> dict[str, list[Any]]:
    line = curve.lines["run"]
    limits = line.k.astype(float) if line.limits is None else line.limits
    cut = [0.0] * len(line.k) if line.cut is None else line.cut.tolist()
    measured = {name: column for name, column in curve.table().items() if name != "method"}
    return {"budget": limits.tolist(), "problems": [len(curve.problems)] * len(line.k), **measured, "cut": cut}
