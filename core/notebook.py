"""What notebooks show of values: HTML in which all text is data and none of it markup."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from widthwise.core.brief import counted
from widthwise.core.visible import visible

_ROWS = 20
_CELL = 200
_TEXT = 20_000
"""How many characters of a text are shown; the value has all of it."""

_WRAPPED = "white-space: pre-wrap; overflow-wrap: anywhere; text-align: left"


def escaped(text: str, longest: int = _CELL) -> str:
    """``text`` escaped for a page, including quotes; only its beginning if it is long."""
    shown = visible(text[: longest + 1])
    return html.escape(shown if len(text) <= longest else f"{shown[:longest]}…")


def heading(text: str) -> str:
    """A line that says what is shown."""
    return f"<p><b>{escaped(text)}</b></p>"


def block(text: str, style: str = "") -> str:
    """A text of several lines, verbatim."""
    return f'<pre style="{_WRAPPED}; {style}">{escaped(text, _TEXT)}</pre>'


def table(columns: Mapping[str, Sequence[Any]]) -> str:
    """The first rows of a table, and how many more there are."""
    length = max(map(len, columns.values()), default=0)
    head = "".join(f"<th>{escaped(name)}</th>" for name in columns)
    rows = zip(*(list(column[:_ROWS]) for column in columns.values()), strict=True)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    more = f"<p>and {counted(length - _ROWS, 'more row')}</p>" if length > _ROWS else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cell(value: Any) -> str:
    if value is None or value != value:  # NaN is unknown, too
        return "<td>–</td>"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f'<td style="{_WRAPPED}">{escaped(str(value))}</td>'
    return f"<td>{value:,}</td>" if isinstance(value, int) else f"<td>{value:.4g}</td>"
