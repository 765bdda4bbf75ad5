"""What help texts call the values of options: words, not the types of Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

_WORDS = {str: "TEXT", int: "N", float: "X", Path: "FILE"}


def worded(command: Any, function: Callable[..., Any]) -> Any:
    """``command``, whose options name their values in words unless they say it; ``function`` is what it calls."""
    hints = get_type_hints(function)
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            parameter.display_type_rich = _nothing  # its name and its help say what it is
        elif parameter.metavar is None and not parameter.is_flag and not parameter.count:
            parameter.metavar = _WORDS.get(_single(hints.get(parameter.name)))
    return command


def _nothing(ctx: Any) -> None:
    return None


def _single(kind: Any) -> Any:
    """The type of one value: of a list's items, or of an option that may be left out."""
    inner = [each for each in get_args(kind) if each is not NoneType]
    return _single(inner[0]) if inner else kind
