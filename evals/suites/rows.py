"""Problems from the rows of a file or a hub dataset, whatever their columns are called."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.evals.grading.boxes import boxes
from widthwise.evals.grading.extraction import Policy, extract
from widthwise.evals.grading.graders import read_tolerance
from widthwise.evals.grading.lines import hashes
from widthwise.evals.input_file import LARGEST_VALUE, json_file, json_lines, regular_file
from widthwise.evals.suites.parquet_rows import parquet_rows

Row = Mapping[str, Any]
Layout = Callable[[Row, str, str], Problem]
"""Makes a problem of a row, the id that it gets where the row has none, and the prefix of ids that are numbers.

It raises ValueError or UsageError, saying what is missing or wrong.
"""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "problem_id", "unique_id", "question_id", "problem_idx", "ID", "task_id", "Record ID"),
    "problem": ("problem", "question", "prompt", "Problem", "Question"),
    "answer": ("answer", "final_answer", "expected_answer", "gold", "Answer"),
    "solution": ("solution", "Solution"),
}
"""Our field, and the column names it is found under, in order of preference."""

_SOLUTION = Policy((hashes, boxes))
_NOT_METADATA = frozenset({name for names in COLUMNS.values() for name in names} | {"samples", "steps", "step_scores"})


FILES = (".jsonl", ".parquet", ".csv", ".json")
"""How the names of files end that rows are read from; a file of any other name is read as JSON Lines."""


def read_rows(path: Path, leave: Sequence[str] = ()) -> Iterator[tuple[int, Row]]:
    """The rows of a file with their numbers, from 1: JSON Lines, Parquet, CSV with a header, or a JSON list of objects.

    Blank lines are left out, and so are the columns to ``leave`` of a Parquet file. Raises UsageError, naming the file
    and the line, for what cannot be read.
    """
    readers: dict[str, Callable[[Path], Iterator[tuple[int, Row]]]]
    readers = {".parquet": partial(parquet_rows, leave=leave), ".csv": _csv_rows, ".json": _json_rows}
    try:
        yield from readers.get(path.suffix, json_lines)(regular_file(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error


def _csv_rows(path: Path) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(LARGEST_VALUE)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        try:
            for row in rows:
                if None in row or None in row.values():
                    raise UsageError(f"{path}, line {rows.line_num}: the row has not as many fields as the header")
                yield rows.line_num, row
        except (csv.Error, UnicodeDecodeError) as error:
            raise UsageError(f"{path}, line {rows.line_num}: not valid CSV in UTF-8 ({str(error)[:200]})") from error


def _json_rows(path: Path) -> Iterator[tuple[int, Row]]:
    try:
        value = json_file(path)
    except ValueError as error:
        raise UsageError(f"{path}: not valid JSON ({str(error)[:200]})") from error
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise UsageError(
            f"{path}: a list of JSON objects is expected (one object a line is JSON Lines: name it .jsonl)"
        )
    yield from enumerate(value, 1)


def read_problems(
    rows: Iterable[tuple[int, Row]], origin: str, prefix: str, layout: Layout | None = None
) -> list[Problem]:
    """The problems of numbered ``rows``; ``origin`` (a file or dataset) is named in errors, ``prefix`` makes ids.

    ``layout`` makes a problem of a row; without one it is a question with its answer.

    Raises UsageError for a missing field and for two rows of one id.
    """
    found: dict[str, int] = {}
    problems = []
    for number, row in rows:
        try:
            problem = (layout or to_problem)(row, f"{prefix}-{number:04d}", prefix)
        except (ValueError, UsageError) as error:
            raise UsageError(f"{origin}, line {number}: {error}") from error
        first = found.setdefault(problem.id, number)
        if first != number:
            raise UsageError(f"{origin}, line {number}: the id {problem.id!r} stands in line {first} already")
        problems.append(problem)
    return problems


def to_problem(row: Row, default_id: str, prefix: str) -> Problem:
    """A question with its answer; raises ValueError or UsageError, saying what is missing or wrong."""
    text = text_of(row)
    metadata = {key: value for key, value in row.items() if key not in _NOT_METADATA and value is not None}
    read_tolerance(row.get("tolerance"), "tolerance")
    answer, several = _answer(row)
    if answer is None and not ("numbers" in row and "target" in row):
        raise ValueError(missing("answer"))
    return Problem(identity(row, default_id, prefix), text, answer, metadata | ({"multiple": True} if several else {}))


def identity(row: Row, default: str, prefix: str) -> str:
    """The id that a row gives itself; numbers get a prefix."""
    found = column(row, "id")
    return default if found in (None, "") else found if isinstance(found, str) else f"{prefix}-{found}"


def text_of(row: Row) -> str:
    """What the row asks; raises ValueError where it asks nothing."""
    text = column(row, "problem")
    if not isinstance(text, str) or not text.strip():
        raise ValueError(missing("problem"))
    return text


def _answer(row: Row) -> tuple[str | None, bool]:
    """The reference answer, and whether it is a list in no order."""
    value = column(row, "answer")
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or None, len(value) > 1
    if value is None and isinstance(solution := column(row, "solution"), str):
        return extract(solution, _SOLUTION), False
    if isinstance(value, str) and "####" in value:  # GSM8K keeps the answer at the end of its solution
        return value.rpartition("####")[2].strip().replace(",", "") or None, False
    return (None if value in (None, "") else str(value)), False


def column(row: Row, name: str) -> Any:
    """What stands in the first of the columns that a field is found under."""
    return next((row[column] for column in COLUMNS[name] if row.get(column) is not None), None)


def missing(name: str) -> str:
    """The sentence about a field that is not there."""
    return f"the field {name!r} is missing or empty (read from the columns {', '.join(COLUMNS[name])})"
