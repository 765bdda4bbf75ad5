"""Arguments of the wrong type, said in one sentence before anything is done with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from widthwise.core.errors import UsageError

_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "True or False", NoneType: "None"}
"""The types that are checked, in words; whatever has another one besides is not."""


class ArgumentError(UsageError, ValueError):
    """An argument that cannot be: a wrong request, and what Python itself calls a ``ValueError``."""


def check_types(owner: type, given: Mapping[str, Any], who: str = "") -> None:
    """Raises ``ArgumentError`` for a value that is none of the plain types that the dataclass ``owner`` names."""
    known = _plain_types(owner)
    for name, value in given.items():
        if name in known and not any(_is(value, kind) for kind in known[name]):
            words = " or ".join(_WORDS[kind] for kind in known[name] if kind is not NoneType)
            raise ArgumentError(f"{who}{name} must be {words}, not {value!r:.60} ({type(value).__name__})")


def whole(value: Any, name: str, least: int = 1) -> int:
    """``value``, if it is a whole number of at least ``least``; raises ``ArgumentError`` otherwise."""
    if not _is(value, int) or value < least:
        raise ArgumentError(f"{name} must be a whole number of at least {least}, not {value!r:.60}")
    return int(value)


def names_of(owner: type) -> Iterable[str]:
    """The arguments of a dataclass."""
    return [field.name for field in fields(owner) if field.init] if is_dataclass(owner) else []


@lru_cache(maxsize=512)
def _plain_types(owner: type) -> dict[str, tuple[type, ...]]:
    try:
        hints = get_type_hints(owner)
    except NameError:  # a type that is imported for checkers only
        return {}
    found = {name: _members(hints[name]) for name in names_of(owner) if name in hints}
    return {name: kinds for name, kinds in found.items() if all(kind in _WORDS for kind in kinds)}


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _is(value: Any, kind: type) -> bool:
    if kind is int:
        return isinstance(value, int | np.integer) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return isinstance(value, kind)
