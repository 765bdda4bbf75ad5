"""What the columns of a row are called, and which of them is meant.

Case does not matter, nor whether words are joined by blanks, hyphens or underscores: ``Final Answer`` is
``final_answer``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from shlex import quote
from typing import Any

from widthwise.core.errors import UsageError

Row = Mapping[str, Any]

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "problem_id", "unique_id", "question_id", "problem_idx", "task_id", "record_id"),
    "problem": ("problem", "question", "prompt", "query", "input", "instruction", "problem_statement"),
    "answer": (
        "answer", "final_answer", "expected_answer", "correct_answer", "gold", "gold_answer", "target", "reference",
        "reference_answer", "ground_truth", "answers",
    ),
    "solution": ("solution", "reference_solution", "rationale"),
}  # fmt: skip
"""Our field, and the names its columns may have. ``output``, ``response`` and ``completion`` are not among them: they
hold what a model wrote as often as what is right.
"""

_IN_PYTHON = "ww.suite_of(..., columns=...) in Python"
_PREFERRED = frozenset({"id", "solution"})
"""Fields for which the first of several columns is used: none of them decides what is right."""


def column(row: Row, field: str) -> Any:
    """The content of the column of ``field``; None if there is no such column, or nothing in it.

    Raises ValueError if several columns could be meant and differ.
    """
    found = list(_found(row, field))
    if not found:
        return None
    (first, value), *others = found
    for name, other in others if field not in _PREFERRED else ():
        if _spelled(other) != _spelled(value):
            raise ValueError(
                f"the columns {first!r} and {name!r} could both be the {field}, and differ: say which with eval "
                f"--column {field}={quote(first)} ({_IN_PYTHON}), or leave one out"
            )
    return value


def named(row: Row, field: str) -> list[str]:
    """The columns of a row from which ``field`` is read."""
    return [name for name, _ in _found(row, field)]


def missing(row: Row, field: str) -> str:
    """The sentence about a missing field."""
    there = ", ".join(map(str, row))[:200] or "none"
    return (
        f"the field {field!r} is missing or empty: it is read from the columns {', '.join(COLUMNS[field])}, and the "
        f"columns here are {there}; eval --column {field}=NAME names another ({_IN_PYTHON})"
    )


def chosen(rows: Iterable[tuple[int, Row]], columns: Mapping[str, str], origin: str) -> Iterator[tuple[int, Row]]:
    """The numbered rows, with the fields in ``columns`` read only from the columns named there; errors name ``origin``.

    Raises UsageError for an unknown field or column.
    """
    for field in columns:
        if field not in COLUMNS:
            raise UsageError(f"a column can be chosen for {', '.join(COLUMNS)}, not for {field!r}")
    for number, row in rows:
        yield number, _chosen(row, columns, f"{origin}, line {number}")


def _chosen(row: Row, columns: Mapping[str, str], place: str) -> Row:
    for name in columns.values():
        if name not in row:
            raise UsageError(f"{place}: there is no column {name!r}; the columns are {', '.join(map(str, row))[:200]}")
    passed_over = {name for field in columns for name in named(row, field)} | set(columns.values())
    kept = {name: value for name, value in row.items() if name not in passed_over}
    return {**kept, **{field: row[name] for field, name in columns.items()}}


def _found(row: Row, field: str) -> Iterator[tuple[str, Any]]:
    """The columns of a field that hold something, in the order of ``COLUMNS``."""
    names = {_folded(name): name for name in row if isinstance(name, str)}
    for name in COLUMNS[field]:
        if name == "target" and "numbers" in names:
            continue  # countdown's target is part of the question
        value = row[names[name]] if name in names else None
        if not _is_empty(value):
            yield names[name], value


def _folded(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip()).lower()


def _is_empty(value: Any) -> bool:
    """Whether a cell is empty; data frames mark that with a NaN."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _spelled(value: Any) -> str:
    return str(value).strip()
