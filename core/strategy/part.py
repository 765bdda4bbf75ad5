"""What strategies are composed of with ``|``."""

from __future__ import annotations

import re
from dataclasses import MISSING, Field, fields, is_dataclass
from inspect import isfunction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from widthwise.core.strategy.strategy import Strategy


class Part:
    """A sampler, pruner, budget or aggregator; ``a | b`` composes a strategy.

    Parts are frozen dataclasses: their fields are their arguments, in Python and on the command line, and
    ``str(part)`` is the command line's spelling.
    """

    __slots__ = ()

    def __or__(self, other: Any) -> Strategy:
        from widthwise.core.strategy.strategy import compose

        return compose(self, other)

    def __ror__(self, other: Any) -> Strategy:
        from widthwise.core.strategy.strategy import compose

        return compose(other, self)

    def __str__(self) -> str:
        return f"{spelling(type(self).__name__)}({', '.join(_arguments(self))})"

    def brief(self) -> str:
        """The same without the arguments that are the defaults: for people, who read tables."""
        return f"{spelling(type(self).__name__)}({', '.join(_arguments(self, changed=True))})"


def spelling(class_name: str) -> str:
    """``BestOfN`` as the command line spells it: ``best_of_n``. (``DeepConf`` is one word: ``deepconf``.)"""
    return re.sub(r"(?<=[a-z0-9])(?<!Deep)(?=[A-Z])", "_", class_name).lower()


def _arguments(part: Part, *, changed: bool = False) -> list[str]:
    """Every argument that says something, defaults too: what a manifest records must not change with a default.

    ``changed`` leaves the defaults out.
    """
    if not is_dataclass(part):
        return []
    values = {field: getattr(part, field.name) for field in fields(part)}
    said = {f: value for f, value in values.items() if not (changed and value == _default(f))}
    return [f"{f.name}={literal(value, brief=changed)}" for f, value in said.items() if value is not None]


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def literal(value: Any, *, brief: bool = False) -> str:
    """A part as the command line writes it, a function by its import path, anything else as a literal."""
    if isinstance(value, Part):
        return value.brief() if brief else str(value)
    return f"{value.__module__}:{value.__qualname__}" if isfunction(value) else repr(value)
