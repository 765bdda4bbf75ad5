"""Arguments of the wrong type, said in one sentence before anything is done with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from widthwise.core.errors import UsageError

_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "True or False", NoneType: "None"}
"""The types that are checked, in words, besides choices of words and tuples; whatever has another one is not."""
_SEVERAL = {
    str: "a tuple of texts, such as ('a', 'b') or ('a',)",
    float: "a tuple of numbers, such as (0.5,)",
    int: "a tuple of whole numbers, such as (4, 2)",
}
"""Tuples of any length, in words."""


class ArgumentError(UsageError, ValueError):
    """An argument that cannot be: a wrong request, and what Python itself calls a ``ValueError``."""


def check_types(owner: type, given: Mapping[str, Any], who: str = "") -> None:
    """Raises ``ArgumentError`` for a value that is none of the plain types that the dataclass ``owner`` names.

    Plain are those in ``_WORDS``, in which NaN is no number, ``Literal`` choices of words, and tuples of texts or of
    numbers (a list serves as well).
    """
    known = _plain_types(owner)
    for name, value in given.items():
        if name in known and not any(_is(value, kind) for kind in known[name]):
            words = " or ".join(_in_words(kind) for kind in known[name] if kind is not NoneType)
            raise ArgumentError(f"{who}{name} must be {words}, not {value!r:.60} ({type(value).__name__})")


def share(value: Any, name: str) -> float:
    """``value``, if it is a number between 0 and 1; raises ``ArgumentError`` otherwise."""
    if not _is(value, float) or not 0 < value < 1:
        raise ArgumentError(f"{name} must be a number between 0 and 1, not {value!r:.60}")
    return float(value)


def one_of(value: Any, choices: Sequence[str], name: str) -> str:
    """``value``, if it is one of ``choices``; raises ``ArgumentError`` otherwise."""
    if not isinstance(value, str) or value not in choices:
        raise ArgumentError(f"{name} must be one of {', '.join(choices)}, not {value!r:.60}")
    return value


def whole(value: Any, name: str, least: int = 1) -> int:
    """``value``, if it is a whole number of at least ``least``; raises ``ArgumentError`` otherwise."""
    if not _is(value, int) or value < least:
        raise ArgumentError(f"{name} must be a whole number of at least {least}, not {value!r:.60}")
    return int(value)


def names_of(owner: type) -> Iterable[str]:
    """The arguments of a dataclass."""
    return [field.name for field in fields(owner) if field.init] if is_dataclass(owner) else []


@lru_cache(maxsize=512)
def _plain_types(owner: type) -> dict[str, tuple[Any, ...]]:
    try:
        hints = get_type_hints(owner)
    except NameError:  # a type that is imported for checkers only
        return {}
    found = {name: _members(hints[name]) for name in names_of(owner) if name in hints}
    return {name: kinds for name, kinds in found.items() if all(_is_plain(kind) for kind in kinds)}


def _is_plain(kind: Any) -> bool:
    return kind in _WORDS or bool(_choices(kind)) or _item(kind) in _SEVERAL


def _item(kind: Any) -> Any:
    """What a tuple of any length holds; None for another type."""
    held = get_args(kind) if get_origin(kind) is tuple else ()
    return held[0] if len(held) == 2 and held[1] is Ellipsis else None


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _choices(kind: Any) -> tuple[str, ...]:
    """The words of a ``Literal``; none for another type, and for a ``Literal`` of other things than words."""
    words = get_args(kind) if get_origin(kind) is Literal else ()
    return words if all(isinstance(word, str) for word in words) else ()


def _in_words(kind: Any) -> str:
    if choices := _choices(kind):
        return f"one of {', '.join(choices)}"
    return _SEVERAL[_item(kind)] if _item(kind) else _WORDS[kind]


def _is(value: Any, kind: Any) -> bool:
    if choices := _choices(kind):
        return isinstance(value, str) and value in choices
    if item := _item(kind):
        return isinstance(value, tuple | list) and all(_is(each, item) for each in value)
    if kind is int:
        return isinstance(value, int | np.integer) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, int | float | np.number) and not isinstance(value, bool) and value == value
    return isinstance(value, kind)
