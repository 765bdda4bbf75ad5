"""What tests see of the program that they test: values that cannot answer for themselves.

A program may define classes whose instances are equal to everything, and functions that replace what tests call. So
tests have their own names, and what a program's function returns is rebuilt from the language's own types on the way.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_OWN = ("builtins", "collections", "datetime", "decimal", "fractions", "itertools", "re")
"""Modules whose types answer for themselves."""


class _Foreign:
    """Stands for an instance of a program's own class: equal to nothing."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return False


def tested(names: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, Any]:
    """The ``wanted`` ones of a program's ``names``; raises NameError if the first is missing."""
    if wanted and wanted[0] not in names:
        raise NameError(f"it does not define {wanted[0]}")
    found = {name: names[name] for name in wanted if name in names}
    return {name: _returning_plain(value) if callable(value) else value for name, value in found.items()}


def _returning_plain(function: Callable[..., Any]) -> Callable[..., Any]:
    if isinstance(function, type):
        return function

    def call(*args: Any, **kwargs: Any) -> Any:
        return plain_value(function(*args, **kwargs))

    return call


def plain_value(value: Any) -> Any:
    """``value`` rebuilt from the language's own types; an instance of a program's own class is equal to nothing."""
    kind = type(value)
    if kind in (list, tuple, set, frozenset):
        return kind([plain_value(item) for item in value])
    if kind in (dict, Counter, OrderedDict, defaultdict):
        return {plain_value(key): plain_value(item) for key, item in dict.items(value)}
    if kind is deque:
        return deque(map(plain_value, value))
    if kind.__module__ not in _OWN:
        return _Foreign()
    return map(plain_value, value) if hasattr(kind, "__next__") else value
