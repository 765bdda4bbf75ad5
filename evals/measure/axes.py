"""The axes of budgets."""

from __future__ import annotations

Axis = str
"""What a budget is: one of ``AXES``. In a sweep, also an argument of the strategies' parts, which then follows it."""

AXES: dict[Axis, str] = {
    "samples": "samples per problem",
    "tokens": "sampled tokens per problem",
    "sequential": "sequential tokens per problem",
    "seconds": "wall-clock seconds per problem",
    "thinking": "tokens that each trace may think",
}
"""The axes by name, as figures label them."""

MEASURED = ("samples", "tokens", "sequential", "seconds")
"""The axes on which spending is measured, so that it can be limited. All others are arguments."""


FOLLOWS = "budget"
"""In the names of strategies, the value of an argument that follows the budgets of a sweep."""


def labelled(axis: Axis) -> str:
    """How figures label an axis; an argument is its own label."""
    return AXES.get(axis, axis)


def cost(axis: Axis) -> Axis:
    """What is spent on an axis: tokens, if it is an argument."""
    return axis if axis in MEASURED else "tokens"


def amount(budget: float) -> str:
    """A budget as tables show it."""
    return f"{budget:,.0f}" if budget == round(budget) or budget >= 100 else f"{budget:.4g}"
