"""Everything written to the terminal. Model output may contain control sequences: they are shown, never sent."""

from __future__ import annotations

import math
import shutil
import sys
from typing import TYPE_CHECKING, Any

import typer

from widthwise.core.visible import ACTIVE, visible

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_LONGEST_SENTENCE = 2000
"""How many characters of one error or note are shown: others' errors may quote a whole generation."""

_UNBOUNDED = 10_000_000
"""The width of a file or a pipe, in columns: nothing is folded or cut there."""


def say(text: object = "", *, err: bool = False) -> None:
    """Print a line on stdout, or on stderr."""
    typer.echo(visible(str(text)), err=err)


def say_sentence(text: object, *, err: bool = True) -> None:
    """Print an error or a note; one that is too long is cut."""
    said = str(text)
    say(said if len(said) <= _LONGEST_SENTENCE else f"{said[: _LONGEST_SENTENCE - 4]} ...", err=err)


def say_json(value: Any) -> None:
    """Print an object as one line of exact JSON; control characters for the terminal are escaped as JSON does."""
    from widthwise.evals.store.segment_rows import to_json

    typer.echo(ACTIVE.sub(lambda found: f"\\u{ord(found[0]):04x}", to_json(value)))


def known(value: Any) -> Any:
    """``value`` with null for each number that is not known: JSON has no other word for it."""
    if isinstance(value, dict):
        return {name: known(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [known(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def cell(text: str) -> Text:
    """A table's cell, without markup: an answer such as [1, 2] is not a style."""
    from rich.text import Text

    return Text(visible(text))


def say_table(table: Table) -> None:
    """Print a table on stdout."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else _UNBOUNDED).print(table)


def width_of_lines() -> int:
    """How many characters a line of stdout may have."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _UNBOUNDED


def fitting(text: str, width: int) -> str:
    """``text``, cut to ``width`` on a terminal; in a file or a pipe all of it."""
    return text if len(text) <= width or not sys.stdout.isatty() else f"{text[: width - 1]}…"
