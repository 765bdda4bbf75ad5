"""Strategies as text: ``best_of_n(n=64) | majority_vote()``, parsed as literals and never evaluated."""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.strategy.part import Part
from widthwise.core.strategy.strategy import Strategy, as_strategy, compose

Parts = Mapping[str, Callable[..., Any]]

_LONGEST = 10_000
_PART = re.compile(r"\s*([A-Za-z_][\w.]*(?::[A-Za-z_]\w*)?)\s*(\(.*\))?\s*", re.DOTALL)


def parse_strategy(text: str, parts: Parts, *, trusted: bool = True) -> Strategy:
    """The strategy that ``text`` spells, from the built-in ``parts`` and from import paths.

    ``my_module:my_strategy`` names an ``async`` function or a part of the user's own, found on the import path or
    in the current folder; with ``(...)`` behind it, it is called with these arguments to make the part.
    Raises ``UsageError`` naming the valid names or arguments and the nearest match. A text that is not ``trusted``
    (one from a file, say) is built-in parts only: nothing that it names is imported.
    """
    if len(text) > _LONGEST:
        raise UsageError(f"a strategy of {len(text)} characters is too long to be one")
    made = [_part(piece, parts, trusted) for piece in _pieces(text)]
    first, *rest = made
    return reduce(compose, rest, as_strategy(first))


def nearest(name: str, valid: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the valid name closest to ``name``, or nothing."""
    close = difflib.get_close_matches(name, list(valid), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _pieces(text: str) -> list[str]:
    """``text`` split at the bars that stand outside brackets and quotes."""
    pieces, depth, quote, begin = [], 0, "", 0
    for i, char in enumerate(text):
        if quote:
            quote = "" if char == quote and text[i - 1] != "\\" else quote
        elif char in "\"'":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "|" and depth == 0:
            pieces.append(text[begin:i])
            begin = i + 1
    return [*pieces, text[begin:]]


def _part(piece: str, parts: Parts, trusted: bool) -> Any:
    match = _PART.fullmatch(piece)
    if match is None:
        raise UsageError(f"{piece.strip()!r} is no part of a strategy; write name(argument=value), joined by |")
    name, arguments = match.groups()
    if ":" in name and trusted:
        found = _imported(name)
        return found if arguments is None else _called(name, found, _call(f"f{arguments}", piece), parts)
    return _called(name, _known(name, parts), _call(f"f{arguments or '()'}", piece), parts)


def _known(name: str, parts: Parts) -> Callable[..., Any]:
    if name not in parts:
        raise UsageError(
            f"unknown part {name!r}{nearest(name, parts)} Valid names: {', '.join(sorted(parts))}, "
            "or the import path of your own, my_module:my_strategy."
        )
    return parts[name]


def _call(source: str, piece: str) -> ast.Call:
    try:
        node = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        node = None
    if not isinstance(node, ast.Call):
        raise UsageError(f"cannot read the arguments of {piece.strip()!r}; write name(argument=value)")
    return node


def _called(name: str, make: Callable[..., Any], call: ast.Call, parts: Parts) -> Any:
    if any(keyword.arg is None for keyword in call.keywords):
        raise UsageError(f"{name}: ** is not allowed; write the arguments out")
    positional = [_value(name, node, parts) for node in call.args]
    named = {str(k.arg): _value(name, k.value, parts) for k in call.keywords}
    if len(named) < len(call.keywords):
        raise UsageError(f"{name}: an argument is given twice")
    signature = inspect.signature(make)
    unknown = [key for key in named if key not in signature.parameters]
    if unknown:
        valid = list(signature.parameters)
        shown = f"its arguments are {', '.join(valid)}" if valid else "it takes none"
        raise UsageError(f"{name} has no argument {unknown[0]!r}{nearest(unknown[0], valid)} ({shown})")
    try:
        signature.bind(*positional, **named)
        return make(*positional, **named)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name}: {error}") from None


def _value(name: str, node: ast.expr, parts: Parts) -> Any:
    """A literal, or a nested part such as the worker of another sampler."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _called(node.func.id, _known(node.func.id, parts), node, parts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        left, right = _value(name, node.left, parts), _value(name, node.right, parts)
        return left | right if isinstance(left, Part) else compose(left, right)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError):
        raise UsageError(f"{name}: {ast.unparse(node)} is not a literal value") from None


def _imported(path: str) -> Any:
    module_name, _, attribute = path.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise UsageError(f"cannot import {module_name!r}: {error}") from None
    if not hasattr(module, attribute):
        names = [n for n in vars(module) if not n.startswith("_")]
        raise UsageError(f"{module_name} has no {attribute!r}{nearest(attribute, names)}")
    return getattr(module, attribute)
