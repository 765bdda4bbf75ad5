"""Values in one line: what ``repr`` says of them, however much they hold."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from inspect import isroutine
from typing import Any

import numpy as np

from widthwise.core.plain_json import well_formed
from widthwise.core.secrets import MASK, masked, names_secret, shown_address

_TEXT = 60
"""How many characters of a text are shown: its beginning and its end."""
_LINE = 240
"""About how many characters the whole line has."""
_ITEMS = 3
"""How many items of a collection are shown; a longer one shows their number."""


class Brief:
    """A value whose ``repr`` is one short line, without secrets.

    A dataclass shows its fields except for those at their defaults; anything else shows its ``name``, if it has one.
    Subclasses may have their own ``__repr__``.
    """

    __slots__ = ()

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        cls.__repr__ = cls.__repr__  # type: ignore[method-assign]  # where there is one, @dataclass writes none

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_joined(_said(self))})"


def counted(n: int, one: str, several: str = "") -> str:
    """``1 trace``, ``1,024 traces``."""
    return f"{n:,} {one if n == 1 else several or one + 's'}"


def brief(value: object, width: int = _TEXT) -> str:
    """Any value in at most about ``width`` characters, without secrets."""
    if isinstance(value, str):
        return repr(_shortened(shown_address(well_formed(value)), width))
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, np.ndarray):
        return f"<{value.dtype} {list(value.shape)}>"
    if isinstance(value, Mapping):
        return _mapping(value, width)
    if isinstance(value, tuple | list | set | frozenset | range):
        return _collection(value, width)
    if isinstance(value, bytes | bytearray):
        return f"<{len(value):,} bytes>"
    if isroutine(value):
        return str(getattr(value, "__qualname__", type(value).__name__))
    return _shortened(masked(repr(value)), _LINE)


def _said(value: object) -> Iterator[str]:
    if not is_dataclass(value):
        if name := getattr(value, "name", None):
            yield repr(_shortened(shown_address(str(name)), _TEXT))
        return
    for field in fields(value):
        held = getattr(value, field.name)
        if field.repr and not _is_default(field, held):
            yield f"{field.name}={MASK if names_secret(field.name) and isinstance(held, str) else brief(held)}"


def _joined(parts: Iterator[str]) -> str:
    """The parts with commas between them, as many as fit into the line."""
    line = ""
    for part in parts:
        if len(line) + len(part) > _LINE:
            return f"{line}, ..." if line else "..."
        line = f"{line}, {part}" if line else part
    return line


def _is_default(field: Field[Any], value: object) -> bool:
    default = field.default
    if default is MISSING and field.default_factory is not MISSING:
        default = field.default_factory()
    return value is default or (type(value) is type(default) and not _holds_array(value) and value == default)


def _holds_array(value: object) -> bool:
    """Whether comparing is pointless: arrays compare by element."""
    return isinstance(value, np.ndarray) or (isinstance(value, tuple | list) and any(map(_holds_array, value[:_ITEMS])))


def _mapping(value: Mapping[Any, Any], width: int) -> str:
    if len(value) > _ITEMS:
        return f"<{len(value):,} entries>"
    shown = (f"{brief(k, width)}: {MASK if names_secret(str(k)) else brief(v, width)}" for k, v in value.items())
    return f"{{{_joined(shown)}}}"


def _collection(value: Collection[Any], width: int) -> str:
    if len(value) > _ITEMS:
        return f"<{len(value):,} items>"
    inside = _joined(brief(item, width) for item in value)
    if isinstance(value, tuple):
        return f"({inside}{',' * (len(value) == 1)})"
    return f"[{inside}]" if isinstance(value, list) else f"{{{inside}}}" if value else f"{type(value).__name__}()"


def _shortened(text: str, width: int) -> str:
    """``text``, or its beginning and its end."""
    half = (width - 3) // 2
    return text if len(text) <= width else f"{text[:half]} … {text[-half:]}"
