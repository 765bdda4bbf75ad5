"""Strategies as text: ``best_of_n(n=64) | majority_vote()``, parsed as literals and never evaluated."""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any

from widthwise.core.errors import UsageError, WidthwiseError
from widthwise.core.registry import Entry, find, nearest, role_of
from widthwise.core.roles import STRATEGY
from widthwise.core.strategy.function_part import FunctionPart
from widthwise.core.strategy.part import Part
from widthwise.core.strategy.strategy import Strategy, as_strategy, compose

_LONGEST = 10_000
_TOKEN = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", re.DOTALL)
"""A quoted text, or an import path outside of quotes."""


def parse_strategy(text: str, *, trusted: bool = True) -> Strategy:
    """The strategy that ``text`` spells: parts by their names, the user's own by import path.

    ``my_module:my_strategy`` names an ``async`` function or a part of the user's own, found on the import path or in
    the current folder, also as an argument (``worker=my_module:mine``). With ``(...)`` after it, it is called with
    these arguments to make the part. Raises ``UsageError`` naming the valid names or arguments and the nearest match. A
    text that is not ``trusted`` (one from a file, say) may only name built-in and installed parts; nothing else is
    imported.
    """
    if len(text) > _LONGEST:
        raise UsageError(f"a strategy of {len(text)} characters is too long")
    return as_strategy(_Reader(trusted).read(text))


def shortened(text: str) -> str:
    """A strategy's text without its defaults, for people; as it stands where it names parts that are nobody's here.

    Nothing that it names is imported: a run file may be anybody's.
    """
    try:
        return parse_strategy(text, trusted=False).brief()
    except WidthwiseError:
        return text


class _Reader:
    """Reads one text; names stand in for import paths, which Python's grammar does not have."""

    def __init__(self, trusted: bool) -> None:
        self._trusted = trusted
        self._paths: list[str] = []

    def read(self, text: str) -> Any:
        try:
            return self._joined(ast.parse(_TOKEN.sub(self._named, text).strip(), mode="eval").body)
        except UsageError:
            raise
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise UsageError(
                f"{_short(text)!r} is not a part of a strategy; write name(argument=value), joined by |"
            ) from None

    def _named(self, token: re.Match[str]) -> str:
        if token[0][0] in "'\"":
            return token[0]
        self._paths.append(token[0])
        return f"_path_{len(self._paths) - 1}"

    def _name(self, node: ast.expr) -> str | None:
        """The name or import path at this place of the text; None for any other expression."""
        if not isinstance(node, ast.Name):
            return None
        place = node.id.removeprefix("_path_")
        is_path = place != node.id and place.isdigit() and int(place) < len(self._paths)
        return self._paths[int(place)] if is_path else node.id

    def _part(self, node: ast.expr) -> Any:
        """A part, or several joined by ``|``."""
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            left, right = self._joined(node.left), self._joined(node.right)
            return left | right if isinstance(left, Part) else compose(left, right)
        call = node if isinstance(node, ast.Call) else None
        name = self._name(call.func if call else node)
        if name is None:
            raise UsageError(f"{self._said(node)!r} is not a part of a strategy; write name(argument=value)")
        entry = find(STRATEGY, name, trusted=self._trusted)
        return _called(entry, *self._arguments(name, call)) if call else _named(entry)

    def _joined(self, node: ast.expr) -> Any:
        """A part of a strategy; raises ``UsageError`` for an import path of a text."""
        part = self._part(node)
        if isinstance(part, str):
            raise UsageError(
                f"{self._said(node)} is a text ({_short(part)!r}), and a strategy consists of parts: give the import "
                "path of a sampler, a pruner, a budget or an aggregator"
            )
        return part

    def _arguments(self, name: str, call: ast.Call) -> tuple[list[Any], dict[str, Any]]:
        if any(keyword.arg is None for keyword in call.keywords):
            raise UsageError(f"{name}: ** is not allowed; write the arguments out")
        named = {str(k.arg): self._value(name, k.value) for k in call.keywords}
        if len(named) < len(call.keywords):
            raise UsageError(f"{name}: an argument is given twice")
        return [self._value(name, each) for each in call.args], named

    def _value(self, name: str, node: ast.expr) -> Any:
        """A literal, or a nested part such as the worker of another sampler."""
        is_call = isinstance(node, ast.Call) and self._name(node.func) is not None
        if is_call or isinstance(node, ast.Name) or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)):
            return self._part(node)
        if isinstance(node, ast.List | ast.Tuple):
            values = [self._value(name, each) for each in node.elts]
            return values if isinstance(node, ast.List) else tuple(values)
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, RecursionError):
            raise UsageError(f"{name}: {self._said(node)} is not a literal value") from None

    def _said(self, node: ast.expr) -> str:
        """An expression as written in the text."""
        text = re.sub(r"_path_(\d+)", lambda place: self._paths[int(place[1])], ast.unparse(node))
        return _short(text)


def _named(entry: Entry) -> Any:
    """A part written without brackets: a class or a limit's function is called to make it."""
    part = entry.load()
    makes = inspect.isclass(part) or (role_of(part) == "limit" and inspect.isfunction(part))
    return _called(entry, [], {}) if makes else part


def _called(entry: Entry, positional: list[Any], named: dict[str, Any]) -> Any:
    """What a class or a function makes of the arguments; an ``async`` function keeps them until it is called."""
    name, make = entry.name, entry.load()
    if not callable(make) or isinstance(make, Part):
        raise UsageError(f"{name} is a value: write it without brackets")
    if inspect.iscoroutinefunction(make):
        if positional:
            raise UsageError(f"{name} is a function: give its arguments by name, name=value")
        return FunctionPart.of(make, named) if named else make
    try:
        signature = inspect.signature(make)
        _check_names(name, signature, named)
        signature.bind(*positional, **named)
        return make(*positional, **named)
    except UsageError:
        raise
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name}: {error}") from error
    except Exception as error:  # the user's own part may raise anything
        raise UsageError(f"{name}: {type(error).__name__}: {error}") from error


def _check_names(name: str, signature: inspect.Signature, named: dict[str, Any]) -> None:
    valid = list(signature.parameters)
    unknown = [key for key in named if key not in valid]
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        shown = f"its arguments are {', '.join(valid)}" if valid else "it takes none"
        raise UsageError(f"{name} has no argument {unknown[0]!r}{nearest(unknown[0], valid)} ({shown})")


def _short(text: str) -> str:
    stripped = " ".join(text.split())
    return stripped if len(stripped) <= 80 else f"{stripped[:79]}…"
