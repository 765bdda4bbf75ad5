"""A problem's timeline on a terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from widthwise.cli.terminal import cell, fitting, say_table
from widthwise.core.trace.trace import TraceWait, name

if TYPE_CHECKING:
    from rich.text import Text

    from widthwise.evals.views.timeline import Bar, Lane

_COLOURS = {"stop": "green", "length": "yellow", "budget": "yellow", "pruned": "magenta", "aborted": "magenta"}
_OUTLINE = 24
_AXIS = (20, 100)
"""The smallest and the largest number of characters of the axis."""


def print_timeline(lanes: Sequence[Lane]) -> None:
    """One line per lane: what it is, its bars over sequential tokens, its tokens, what it waited for, how it ended."""
    from rich.table import Table

    whole = max((lane.end for lane in lanes), default=0)
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 160
    width = max(_AXIS[0], min(_AXIS[1], columns - 80))
    table = Table(box=None, pad_edge=False)
    table.add_column("trace", no_wrap=True)
    table.add_column("round", justify="right")
    table.add_column(f"0{f'{whole:,} tokens':>{width - 1}}", no_wrap=True)
    table.add_column("tokens", justify="right")
    table.add_column("waited for", no_wrap=True)
    table.add_column("ended", overflow="fold")
    for lane in lanes:
        label = cell("  " * lane.depth + _label(lane))
        ended = cell("; ".join([_ended(lane.bars[-1]), *lane.notes]))
        waits = ", ".join(_waited(bar.waited) for bar in lane.bars if bar.waited)
        table.add_row(label, str(lane.round), _drawn(lane, whole, width), f"{lane.tokens:,}", waits, ended)
    say_table(table)


def _label(lane: Lane) -> str:
    if lane.thread is None:
        return f"{name(lane.id)} {lane.question or ''}"
    return " ".join(f"thread {lane.thread} {fitting(lane.outline, _OUTLINE)}".split())


def _drawn(lane: Lane, whole: int, width: int) -> Text:
    """The lane's bars, coloured by why they ended, with dots where it waited for others."""
    from rich.text import Text

    line, at = Text(), 0
    for number, bar in enumerate(lane.bars):
        begin = max(at, min(bar.start * width // max(whole, 1), width - 1))
        end = max(begin + 1, bar.end * width // max(whole, 1))
        line.append(("·" if number or bar.waited else " ") * (begin - at))
        line.append("█" * (end - begin), style=_COLOURS.get(str(bar.finish), "red"))
        at = end
    return line


def _waited(wait: TraceWait) -> str:
    """``0.3 at 128``: for the first 128 tokens of the last piece of trace 0.3."""
    return f"{name(wait.trace)} at {wait.tokens}"


def _ended(bar: Bar) -> str:
    if bar.finish == "stop":
        return "stop" if bar.reason is None else f"stop at {bar.reason}"
    return f"{bar.finish}" + ("" if bar.reason is None else f": {bar.reason}")
