"""Methods at equal budgets, as one value: what terminal, JSON and report show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from widthwise.core.brief import Brief
from widthwise.evals.measure.axes import MEASURED, Axis
from widthwise.evals.measure.curves import Curve
from widthwise.evals.measure.equal_budgets import (
    Point,
    Versus,
    against_best,
    at_budget,
    matched_budgets,
    pareto,
    points,
    rivals,
    shared_axis,
)


@dataclass(frozen=True, slots=True, eq=False)
class Matched(Brief):
    """The methods of ``curves`` on one ``axis``.

    ``points`` are by budget, ``differences`` at the largest one, ``pareto`` are those that no other one beats.
    """

    curves: Sequence[Curve]
    axis: Axis
    points: list[tuple[float, Point]]
    differences: list[Versus]
    pareto: list[Point]

    @classmethod
    def of(cls, curves: Sequence[Curve], axis: Axis | None = None, budgets: Sequence[float] | None = None) -> Self:
        """The methods of ``curves`` at ``budgets``, by default those at which the curves end."""
        axis = axis or shared_axis(curves)
        found = points(curves, axis)
        budgets = budgets or matched_budgets(curves, axis)
        matched = [(b, p) for b in budgets for p in at_budget(found, b, curves, axis)]
        return cls(curves, axis, matched, against_best(rivals(found, budgets[-1], curves, axis)), pareto(found))

    @property
    def limited(self) -> bool:
        """Whether the axis is a budget, and not an argument, each of whose values is a method of its own."""
        return self.axis in MEASURED

    def asdict(self) -> dict[str, Any]:
        """Three lists of rows, accuracies as fractions of 1; what is not known is NaN."""
        return {
            "axis": self.axis,
            "points": [{"budget": b, **_row(p), "follows": p.follows} for b, p in self.points],
            "differences": [_versus_row(v) for v in self.differences],
            "pareto": [_row(p) for p in self.pareto],
        }


def _row(point: Point) -> dict[str, Any]:
    said = {"method": point.name, "spent": point.budget, "accuracy": point.accuracy}
    return {**said, "low": point.low, "high": point.high, "money": point.money}


def _versus_row(versus: Versus) -> dict[str, Any]:
    found = versus.difference
    bounds = {"difference": found.mean, "low": found.low, "high": found.high, "p": found.p}
    return {"better": versus.better.name, "than": versus.other.name, **bounds, "detectable": found.detectable}
