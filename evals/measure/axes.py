"""The axes of budgets."""

from __future__ import annotations

from widthwise.core.errors import UsageError

Axis = str
"""What a budget is: one of ``AXES``. In a sweep, also an argument of the strategies' parts, which then follows it."""

AXES: dict[Axis, str] = {
    "samples": "samples per problem",
    "tokens": "sampled tokens per problem",
    "sequential": "sequential tokens per problem",
    "seconds": "wall-clock seconds per problem",
    "money": "money per problem",
    "flops": "FLOPs per problem",
    "thinking": "tokens that each trace may think",
}
"""The axes by name, as figures label them."""

LIMITED = ("samples", "tokens", "sequential", "seconds", "flops")
"""The axes on which spending can be limited."""

MEASURED = (*LIMITED, "money")
"""The axes on which spending is measured; money and FLOPs, if prices and shapes are known. All others are arguments."""


FOLLOWS = "budget"
"""In the names of strategies, the value of an argument that follows the budgets of a sweep."""


def labelled(axis: Axis) -> str:
    """How figures label an axis; an argument is its own label."""
    return AXES.get(axis, axis)


def not_measured(axis: Axis, *runs: str) -> UsageError:
    """The error for runs (none named: all of them) that have not spent anything on ``axis``, as far as is known."""
    ways_out = {
        "money": "give the prices of all models (--price) or ",
        "flops": "evaluate with --model-config or --flops-per-token, or ",
    }
    way_out = f"{ways_out.get(axis, '')}choose another axis ({', '.join(AXES)})"
    why = ", because the shape of their model was not known" if axis == "flops" else ""
    which = f"{', '.join(runs)} {'have' if len(runs) > 1 else 'has'} not" if runs else "none of these runs has"
    return UsageError(f"{which} measured {labelled(axis)}{why}: {way_out}")


def cost(axis: Axis) -> Axis:
    """What is spent on an axis: tokens, if it is an argument."""
    return axis if axis in MEASURED else "tokens"


def amount(budget: float) -> str:
    """A budget as tables show it."""
    if budget >= 1e8:
        return f"{budget:.4g}"
    return f"{budget:,.0f}" if budget == round(budget) or budget >= 100 else f"{budget:.4g}"
