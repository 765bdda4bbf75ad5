"""What strategies are composed of with ``|``."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from inspect import isfunction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from widthwise.core.strategy import Strategy


class Part:
    """A sampler, pruner, budget or aggregator; ``a | b`` composes a strategy.

    Parts are frozen dataclasses: their fields are their arguments, in Python and on the command line, and
    ``str(part)`` is the command line's spelling.
    """

    __slots__ = ()

    def __or__(self, other: Any) -> Strategy:
        from widthwise.core.strategy import compose

        return compose(self, other)

    def __ror__(self, other: Any) -> Strategy:
        from widthwise.core.strategy import compose

        return compose(other, self)

    def __str__(self) -> str:
        return f"{spelling(type(self).__name__)}({', '.join(_arguments(self))})"


def spelling(class_name: str) -> str:
    """``BestOfN`` as the command line spells it: ``best_of_n``. (``DeepConf`` is one word: ``deepconf``.)"""
    return re.sub(r"(?<=[a-z0-9])(?<!Deep)(?=[A-Z])", "_", class_name).lower()


def _arguments(part: Part) -> list[str]:
    """Every argument that says something, defaults too: what a manifest records must not change with a default."""
    if not is_dataclass(part):
        return []
    values = {field.name: getattr(part, field.name) for field in fields(part)}
    return [f"{name}={_spelled(value)}" for name, value in values.items() if value is not None]


def _spelled(value: Any) -> str:
    """A part as the command line writes it, a function by its import path, anything else as a literal."""
    if isinstance(value, Part):
        return str(value)
    return f"{value.__module__}:{value.__qualname__}" if isfunction(value) else repr(value)
