"""What the terminal shows of methods at equal budgets: what they reach, how they differ, which are not beaten."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from widthwise.cli.display import chance, rows_table, span
from widthwise.cli.terminal import say

if TYPE_CHECKING:
    from widthwise.evals.measure.equal_budgets import Point
    from widthwise.evals.measure.intervals import Difference
    from widthwise.evals.measure.matched import Matched


NOTHING_TO_TEST = (
    "none: a paired test needs several problems, and two methods that the budget buys a whole trace on most of them; "
    "give more problems, or a larger budget"
)


def show_matched(matched: Matched) -> None:
    """Three tables."""
    from widthwise.evals.measure.axes import amount, cost

    say(f"\nat equal budgets ({matched.axis})" if matched.limited else f"\nby {matched.axis}")
    paid = ["money"] * (matched.axis != "money" and any(not math.isnan(p.money) for _, p in matched.points))
    rows = [[amount(b), p.marked, amount(p.budget), *_paid(p, paid), *_bounds(p)] for b, p in matched.points]
    columns = ["method", "spent", *paid, "accuracy, %", "95 % interval"]
    rows_table(["budget" if matched.limited else matched.axis, *columns], rows)
    if not all(p.follows for _, p in matched.points):
        say(
            "note: a method whose one trace is longer than the budget on most problems is left out of the paired "
            "tests there"
        )
    of = "at the largest budget" if matched.limited else "from the best"
    say(f"\ndifferences {of}, paired by problem (p adjusted by Holm)")
    differences = [[v.better.name, v.other.name, *_difference(v.difference)] for v in matched.differences]
    if differences:
        rows_table(["better", "than", "by, points", "95 % interval", "p", "detectable, points"], differences)
    else:
        say(NOTHING_TO_TEST)
    say("\nPareto set")
    columns = ["method", cost(matched.axis), *paid, "accuracy, %", "95 % interval"]
    rows_table(columns, [[p.name, amount(p.budget), *_paid(p, paid), *_bounds(p)] for p in matched.pareto])


def _paid(point: Point, columns: Sequence[str]) -> list[str]:
    """Its money, if that has a column."""
    return ["–" if math.isnan(point.money) else f"{point.money:,.4g}" for _ in columns]


def _bounds(point: Point) -> list[str]:
    return [f"{100 * point.accuracy:.2f}", span(point.low, point.high)]


def _difference(found: Difference) -> list[str]:
    bounds = span(found.low, found.high)
    return [f"{100 * found.mean:.2f}", bounds, chance(found.p), f"{100 * found.detectable:.1f}"]
