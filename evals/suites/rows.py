"""Problems from the rows of a file or a hub dataset, whatever their columns are called."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.evals.grading.boxes import boxes
from widthwise.evals.grading.extraction import Policy, extract
from widthwise.evals.grading.graders import read_tolerance
from widthwise.evals.grading.lines import hashes, only_line
from widthwise.evals.input_file import LARGEST_VALUE, json_file, json_lines, regular_file
from widthwise.evals.suites.columns import COLUMNS, Row, column, missing, named
from widthwise.evals.suites.parquet_rows import parquet_rows

Layout = Callable[[Row, str, str], Problem]
"""Makes a problem of a row, given the id to use if the row has none, and the prefix of numeric ids.

It raises ValueError or UsageError, saying what is missing or wrong.
"""

_SOLUTION = Policy((hashes, boxes), hints=(only_line,))
MESSAGES = "messages"
"""The column that a conversation stands in, where no other is the problem; its last message is the question."""

_NOT_METADATA = frozenset({"samples", "steps", "step_scores"})


FILES = (".jsonl", ".parquet", ".csv", ".tsv", ".json")
"""Extensions of files from which rows are read; a file with any other name is read as JSON."""


def read_rows(path: Path, leave: Sequence[str] = ()) -> Iterator[tuple[int, Row]]:
    """The rows of a file with their numbers, from 1: JSON Lines, a JSON list of objects, Parquet, or CSV with a header.

    A file that begins with ``[`` is a list, whatever its name; fields of a ``.tsv`` are separated by tabs.

    Blank lines are skipped, and so are the columns in ``leave`` of a Parquet file. Raises UsageError, naming the file
    and the line, for what cannot be read.
    """
    readers: dict[str, Callable[[Path], Iterator[tuple[int, Row]]]] = {
        ".parquet": partial(parquet_rows, leave=leave),
        ".csv": partial(_csv_rows, delimiter=None),
        ".tsv": partial(_csv_rows, delimiter="\t"),
    }
    try:
        yield from readers.get(path.suffix.lower(), _json_rows)(regular_file(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error


def _csv_rows(path: Path, delimiter: str | None) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(LARGEST_VALUE)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, strict=True, delimiter=delimiter or _separator(path, file))
        try:
            _check_header(path, rows.fieldnames or ())
            for row in rows:
                if None in row or None in row.values():
                    raise UsageError(
                        f"{path}, line {rows.line_num}: the row has a different number of fields than the header"
                    )
                yield rows.line_num, row
        except (csv.Error, UnicodeDecodeError) as error:
            raise UsageError(f"{path}, line {rows.line_num}: not valid CSV in UTF-8 ({str(error)[:200]})") from error


def _separator(path: Path, file: TextIO) -> str:
    """What stands between the columns: a comma, or a semicolon where Excel writes numbers with a comma."""
    try:
        outside = re.sub(r'"[^"]*"', "", file.readline(LARGEST_VALUE))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}, line 1: not valid CSV in UTF-8 ({str(error)[:200]})") from error
    file.seek(0)
    return ";" if outside.count(";") > outside.count(",") else ","


def _check_header(path: Path, names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(f"{path}: the header names the column {twice[0]!r} twice")


def _json_rows(path: Path) -> Iterator[tuple[int, Row]]:
    if not _holds_a_list(path):
        yield from json_lines(path)
        return
    try:
        value = json_file(path)
    except ValueError as error:
        raise UsageError(f"{path}: not valid JSON ({str(error)[:200]})") from error
    for number, row in enumerate(value, 1):
        if not isinstance(row, dict):
            raise UsageError(f"{path}, item {number}: a JSON object is expected, not {type(row).__name__}")
        yield number, row


def _holds_a_list(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4096).removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"[")


def read_problems(
    rows: Iterable[tuple[int, Row]], origin: str, prefix: str, layout: Layout | None = None
) -> list[Problem]:
    """The problems of numbered ``rows``; ``origin`` (a file or dataset) is named in errors, ``prefix`` makes ids.

    ``layout`` makes a problem of a row; without one, a row is a question with its answer.

    Raises UsageError for a missing field and for two rows with the same id.
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
            raise UsageError(f"{origin}, line {number}: the id {problem.id!r} already occurs in line {first}")
        problems.append(problem)
    return problems


def to_problem(row: Row, default_id: str, prefix: str) -> Problem:
    """A question with its answer; raises ValueError or UsageError, saying what is missing or wrong."""
    asked: Any = column(row, "problem") or row.get(MESSAGES)
    text = text_of(row) if isinstance(asked, str | None) else ""
    read_tolerance(row.get("tolerance"), "tolerance")
    answer, several = _answer(row)
    if answer is None and not ("numbers" in row and "target" in row):
        raise ValueError(missing(row, "answer"))
    metadata = _others(row) | ({"multiple": True} if several else {})
    known = identity(row, default_id, prefix)
    if text:
        return Problem(known, text, answer, metadata)
    metadata.pop(MESSAGES, None)
    return Problem.asked(asked, id=known, answer=answer, metadata=metadata)


def _others(row: Row) -> dict[str, Any]:
    """What a row says besides its fields."""
    read = {name for field in COLUMNS for name in named(row, field)} | _NOT_METADATA
    return {name: value for name, value in row.items() if name not in read and value is not None}


def identity(row: Row, default: str, prefix: str) -> str:
    """The id that a row gives itself; numbers get a prefix."""
    found = column(row, "id")
    return default if found is None else found if isinstance(found, str) else f"{prefix}-{found}"


def text_of(row: Row) -> str:
    """What the row asks; raises ValueError if it asks nothing, or if the column is ambiguous."""
    text = column(row, "problem")
    if not isinstance(text, str) or not text.strip():
        raise ValueError(missing(row, "problem"))
    return text


def _answer(row: Row) -> tuple[str | None, bool]:
    """The reference answer, and whether it is an unordered list."""
    value = column(row, "answer")
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or None, len(value) > 1
    if value is None and isinstance(solution := column(row, "solution"), str):
        return extract(solution, _SOLUTION), False
    if isinstance(value, dict):
        raise ValueError(f"the column {named(row, 'answer')[0]!r} must hold a text, a number or a list of these")
    if isinstance(value, str) and "####" in value:  # GSM8K keeps the answer at the end of its solution
        return value.rpartition("####")[2].strip().replace(",", "") or None, False
    return (None if value is None else str(value)), False
