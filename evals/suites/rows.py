"""Problems from the rows of a file or a hub dataset, whatever their columns are called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.evals.grading.boxes import boxes
from widthwise.evals.grading.extraction import Policy, extract
from widthwise.evals.grading.graders import read_tolerance
from widthwise.evals.grading.lines import hashes
from widthwise.evals.input_file import json_lines, regular_file

Row = Mapping[str, Any]

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "problem_id", "unique_id", "question_id", "problem_idx", "ID"),
    "problem": ("problem", "question", "prompt", "Problem", "Question"),
    "answer": ("answer", "final_answer", "expected_answer", "gold", "Answer"),
    "solution": ("solution", "Solution"),
}
"""Our field, and the column names it is found under, in order of preference."""

_SOLUTION = Policy((hashes, boxes))
_NOT_METADATA = frozenset({name for names in COLUMNS.values() for name in names} | {"samples", "steps", "step_scores"})


def read_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """The rows of a JSON Lines or Parquet (``.parquet``) file with their numbers, from 1; blank lines are left out.

    Raises UsageError, naming the file and the line, for what cannot be read.
    """
    try:
        yield from _parquet_rows(regular_file(path)) if path.suffix == ".parquet" else json_lines(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error


def _parquet_rows(path: Path) -> Iterator[tuple[int, Row]]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield from enumerate((row for batch in file.iter_batches() for row in batch.to_pylist()), 1)
    except (pyarrow.ArrowException, ValueError, OverflowError) as error:
        raise UsageError(f"{path} is not a readable Parquet file; it may be cut short ({str(error)[:200]})") from error


def read_problems(rows: Iterable[tuple[int, Row]], origin: str, prefix: str) -> list[Problem]:
    """The problems of numbered ``rows``; ``origin`` (a file or dataset) is named in errors, ``prefix`` makes ids.

    Raises UsageError for a missing field and for two rows of one id.
    """
    found: dict[str, int] = {}
    problems = []
    for number, row in rows:
        try:
            problem = to_problem(row, f"{prefix}-{number:04d}", prefix)
        except (ValueError, UsageError) as error:
            raise UsageError(f"{origin}, line {number}: {error}") from error
        first = found.setdefault(problem.id, number)
        if first != number:
            raise UsageError(f"{origin}, line {number}: the id {problem.id!r} stands in line {first} already")
        problems.append(problem)
    return problems


def to_problem(row: Row, default_id: str, prefix: str) -> Problem:
    """One row as a problem; raises ValueError or UsageError, saying what is missing or wrong."""
    text = _column(row, "problem")
    if not isinstance(text, str) or not text.strip():
        raise ValueError(_missing("problem"))
    identity = _column(row, "id")
    metadata = {key: value for key, value in row.items() if key not in _NOT_METADATA and value is not None}
    read_tolerance(row.get("tolerance"), "tolerance")
    answer, several = _answer(row)
    if answer is None and not ("numbers" in row and "target" in row):
        raise ValueError(_missing("answer"))
    return Problem(
        id=default_id if identity in (None, "") else identity if isinstance(identity, str) else f"{prefix}-{identity}",
        text=text,
        answer=answer,
        metadata=metadata | ({"multiple": True} if several else {}),
    )


def _answer(row: Row) -> tuple[str | None, bool]:
    """The reference answer, and whether it is a list in no order."""
    value = _column(row, "answer")
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or None, len(value) > 1
    if value is None and isinstance(solution := _column(row, "solution"), str):
        return extract(solution, _SOLUTION), False
    if isinstance(value, str) and "####" in value:  # GSM8K keeps the answer at the end of its solution
        return value.rpartition("####")[2].strip().replace(",", "") or None, False
    return (None if value in (None, "") else str(value)), False


def _column(row: Row, name: str) -> Any:
    return next((row[column] for column in COLUMNS[name] if row.get(column) is not None), None)


def _missing(name: str) -> str:
    return f"the field {name!r} is missing or empty (read from the columns {', '.join(COLUMNS[name])})"
