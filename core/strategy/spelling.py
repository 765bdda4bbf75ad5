"""How the command line spells the parts of strategies."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields, is_dataclass
from inspect import isroutine
from typing import Any

from widthwise.core.brief import Brief
from widthwise.core.registry import path_of

_WIDTH = "n"


class Spelled(Brief):
    """A value whose fields are its arguments; ``str`` of it is the command line's spelling, ``repr`` its ``brief`` one.

    Both read back as the value.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return self.brief()

    def __str__(self) -> str:
        return f"{path_of(type(self))}({', '.join(_arguments(self))})"

    def brief(self) -> str:
        """The same without default arguments, for tables that people read."""
        return f"{path_of(type(self))}({', '.join(_arguments(self, changed=True))})"


def spelled(part: Any, *, brief: bool = False) -> str:
    """A part as the command line writes it, a function by its import path."""
    if isroutine(part):
        return path_of(part)
    return part.brief() if brief and isinstance(part, Spelled) else str(part)


def literal(value: Any, *, brief: bool = False) -> str:
    """An argument as the command line writes it: a part or a function as ``spelled``, anything else as a literal."""
    if isinstance(value, Spelled) or isroutine(value):
        return spelled(value, brief=brief)
    if type(value) in (list, tuple):
        inside = ", ".join(literal(each, brief=brief) for each in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
    return repr(value)


def _arguments(part: Spelled, *, changed: bool = False) -> list[str]:
    """Every argument that matters, including defaults: what a manifest records must not change with a default.

    ``changed`` leaves the defaults out, but for the width: runs of one part differ in it most often.
    """
    if not is_dataclass(part):
        return []
    in_order = sorted(fields(part), key=lambda field: field.kw_only)  # the order in which a call gives them
    values = {field: getattr(part, field.name) for field in in_order}
    said = {f: value for f, value in values.items() if not (changed and value == _default(f) and f.name != _WIDTH)}
    return [f"{f.name}={literal(value, brief=changed)}" for f, value in said.items() if value is not None]


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()
