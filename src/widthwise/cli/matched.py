"""Methods at equal budgets: what they achieve, how much they differ, and which of them are not beaten."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from widthwise.cli.display import chance, rows_table, span
from widthwise.cli.terminal import known, say

if TYPE_CHECKING:
    from widthwise.evals.measure.axes import Axis
    from widthwise.evals.measure.curves import Curve
    from widthwise.evals.measure.equal_budgets import Point, Versus
    from widthwise.evals.measure.intervals import Difference


NOTHING_TO_TEST = (
    "none: a paired test needs several problems, and two methods that the budget buys a whole trace on most of them; "
    "give more problems, or a larger budget"
)


@dataclass(frozen=True, slots=True)
class Matched:
    """Methods on one ``axis``: ``points`` by budget, ``differences`` at the largest one, the ``pareto`` set."""

    axis: Axis
    points: list[tuple[float, Point]]
    differences: list[Versus]
    pareto: list[Point]

    @classmethod
    def of(cls, curves: Sequence[Curve], axis: Axis, budgets: Sequence[float] | None = None) -> Matched:
        """The methods of ``curves`` at ``budgets``, by default those at which the curves end."""
        from widthwise.evals.measure.equal_budgets import (
            against_best,
            at_budget,
            matched_budgets,
            pareto,
            points,
            rivals,
        )

        found = points(curves, axis)
        budgets = budgets or matched_budgets(curves, axis)
        matched = [(b, p) for b in budgets for p in at_budget(found, b, curves, axis)]
        return cls(axis, matched, against_best(rivals(found, budgets[-1], curves, axis)), pareto(found))

    def show(self) -> None:
        """Three tables."""
        from widthwise.evals.measure.axes import MEASURED, amount, cost

        limits = self.axis in MEASURED
        say(f"\nat equal budgets ({self.axis})" if limits else f"\nby {self.axis}")
        paid = ["money"] * (self.axis != "money" and any(not math.isnan(p.money) for _, p in self.points))
        rows = [[amount(b), p.marked, amount(p.budget), *_paid(p, paid), *_bounds(p)] for b, p in self.points]
        rows_table(["budget" if limits else self.axis, "method", "spent", *paid, "accuracy, %", "95 % interval"], rows)
        if not all(p.follows for _, p in self.points):
            say(
                "note: a method whose one trace is longer than the budget on most problems is left out of the paired "
                "tests there"
            )
        of = "at the largest budget" if limits else "from the best"
        say(f"\ndifferences {of}, paired by problem (p adjusted by Holm)")
        differences = [[v.better.name, v.other.name, *_difference(v.difference)] for v in self.differences]
        if differences:
            rows_table(["better", "than", "by, points", "95 % interval", "p", "detectable, points"], differences)
        else:
            say(NOTHING_TO_TEST)
        say("\nPareto set")
        columns = ["method", cost(self.axis), *paid, "accuracy, %", "95 % interval"]
        rows_table(columns, [[p.name, amount(p.budget), *_paid(p, paid), *_bounds(p)] for p in self.pareto])

    def asdict(self) -> dict[str, Any]:
        """The three tables as JSON values, accuracies as fractions of 1."""
        rows = {
            "axis": self.axis,
            "points": [{"budget": b, **_row(p), "follows": p.follows} for b, p in self.points],
            "differences": [_versus_row(v) for v in self.differences],
            "pareto": [_row(p) for p in self.pareto],
        }
        return dict(known(rows))


def _row(point: Point) -> dict[str, Any]:
    said = {"method": point.name, "spent": point.budget, "accuracy": point.accuracy}
    return {**said, "low": point.low, "high": point.high, "money": point.money}


def _versus_row(versus: Versus) -> dict[str, Any]:
    found = versus.difference
    bounds = {"difference": found.mean, "low": found.low, "high": found.high, "p": found.p}
    return {"better": versus.better.name, "than": versus.other.name, **bounds, "detectable": found.detectable}


def _paid(point: Point, columns: Sequence[str]) -> list[str]:
    """Its money, if that has a column."""
    return ["–" if math.isnan(point.money) else f"{point.money:,.4g}" for _ in columns]


def _bounds(point: Point) -> list[str]:
    return [f"{100 * point.accuracy:.2f}", span(point.low, point.high)]


def _difference(found: Difference) -> list[str]:
    bounds = span(found.low, found.high)
    return [f"{100 * found.mean:.2f}", bounds, chance(found.p), f"{100 * found.detectable:.1f}"]
