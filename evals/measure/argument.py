"""An argument of a strategy that follows the budgets of a sweep: ``thinking``, the ``ratio`` of revisions ..."""

from __future__ import annotations

from copy import copy
from dataclasses import fields, is_dataclass, replace
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.registry import nearest
from widthwise.core.strategy.spelling import spelled
from widthwise.core.strategy.strategy import Strategy
from widthwise.evals.measure.axes import FOLLOWS, LIMITED


class _Following:
    """Stands for the budget in the name of a strategy."""

    def __repr__(self) -> str:
        return FOLLOWS


def with_argument(strategy: Strategy, name: str, value: float) -> Strategy:
    """The strategy with another value of an argument; ``UsageError`` if no part has it, or the part refuses it."""
    part = _holder(strategy, name)
    number = int(value) if value == int(value) else value
    try:
        return _exchanged(strategy, part, replace(part, **{name: number}))
    except ValueError as error:
        raise UsageError(f"{spelled(part)} cannot have {name}={number}: {error}") from None


def named_with(strategy: Strategy, name: str) -> str:
    """The brief name of a strategy whose argument follows the budget: ``ratio=budget``."""
    part = _holder(strategy, name)
    shown = copy(part)
    object.__setattr__(shown, name, _Following())
    return _exchanged(strategy, part, shown).brief()


def _holder(strategy: Strategy, name: str) -> Any:
    """The first part that has the argument."""
    parts = [part for part in (strategy.sampler, *strategy.pruners, strategy.aggregator) if is_dataclass(part)]
    for part in parts:
        if name in _arguments(part):
            return part
    known = [*LIMITED, *(argument for part in parts for argument in _arguments(part))]
    raise UsageError(
        f"the axis is one of {', '.join(LIMITED)}, or an argument that a part of each strategy has: no part of "
        f"{strategy.brief()} has an argument {name!r}{nearest(name, known)}"
    )


def _arguments(part: Any) -> list[str]:
    return [field.name for field in fields(part)]


def _exchanged(strategy: Strategy, old: Any, new: Any) -> Strategy:
    """The strategy with ``new`` in the place of its part ``old``."""

    def now(part: Any) -> Any:
        return new if part is old else part

    pruners = tuple(map(now, strategy.pruners))
    return replace(strategy, sampler=now(strategy.sampler), pruners=pruners, aggregator=now(strategy.aggregator))
