"""Suites from a program's own objects: names and files, rows, problems, tables of other libraries."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.evals.suites.columns import Row
from widthwise.evals.suites.suite import Suite
from widthwise.evals.suites.suites import load_suite, suite_of_problems, suite_of_rows

NAME = "problems"
"""The name of a suite that was given none."""

_ACCEPTED = (
    "a suite's name, a data file's path, a ww.Suite, or problems: ww.Problem values, dicts, a data frame, a data set"
)


def suite_of(
    given: Any,
    *,
    name: str = NAME,
    like: str | None = None,
    limit: int | None = None,
    columns: Mapping[str, str] | None = None,
) -> Suite:
    """A suite from any object that holds problems.

    ``given`` is a suite, its name, the path of a data file, or problems: ``Problem`` values, dicts, a mapping of
    columns to lists, a data frame of pandas or polars, an Arrow table, a split of a ``datasets`` data set. Columns have
    the same names as in data files (``question``, ``answer``, ``target`` ...; ``messages`` is a conversation), and
    ``columns`` resolves ambiguous ones: ``{"answer": "label"}``. The suite is called ``name``; it is graded and asked
    like the suite ``like``, else as its problems show. ``limit`` keeps the first so many problems. Raises
    ``UsageError`` for anything else, and for rows without a question or its answer.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"the limit must be at least 1, not {limit}")
    if isinstance(given, str) and like is None:
        return load_suite(given, limit=limit, columns=columns)
    if isinstance(given, str | PathLike):
        return load_suite(like, data=Path(given), limit=limit, columns=columns)
    suite = given if isinstance(given, Suite) else _made(given, name, like, columns)
    return suite if limit is None else replace(suite, problems=suite.problems[:limit])


def _made(given: Any, name: str, like: str | None, columns: Mapping[str, str] | None) -> Suite:
    items = _items(given)
    if not items:
        raise UsageError("no problems are given: a suite needs at least one problem")
    source = f"given as {type(given).__name__}"
    if all(isinstance(item, Problem) for item in items):
        _check_ids(items)
        return suite_of_problems(items, name, source, spec=like)
    for number, item in enumerate(items, 1):
        if not isinstance(item, Mapping):
            raise UsageError(
                f"problem {number} is {item!r:.60} ({type(item).__name__}): it must be a dict such as "
                "{'question': ..., 'answer': ...}, or a ww.Problem, as all others are"
            )
    rows: list[Row] = [{str(key): _plain(value) for key, value in item.items()} for item in items]
    return suite_of_rows(enumerate(rows, 1), "the problems", name, source, spec=like, columns=columns)


def is_problem(item: Any) -> bool:
    """Whether ``item`` is a single problem: a ``Problem``, or a mapping with the fields of one rather than columns."""
    if isinstance(item, Mapping):
        return any(isinstance(value, str | int | float) for value in item.values())
    return isinstance(item, Problem)


def is_table(given: Any) -> bool:
    """Whether ``given`` is a table of another library: a data frame, an Arrow table, a split of a data set."""
    return hasattr(given, "columns") or hasattr(given, "column_names")


def _items(given: Any) -> list[Any]:
    """The rows of a table, or the items of an iterable."""
    if isinstance(given, Mapping):
        return list(_rows_of_columns(given))
    for way in ("to_dicts", "to_pylist"):  # polars; Arrow
        if callable(getattr(given, way, None)):
            return list(getattr(given, way)())
    if callable(getattr(given, "to_dict", None)) and hasattr(given, "columns"):  # pandas
        return list(given.to_dict("records"))
    if isinstance(given, bytes) or not isinstance(given, Iterable):
        raise UsageError(f"a suite is {_ACCEPTED}; found {given!r:.60} ({type(given).__name__})")
    return list(given)


def _rows_of_columns(given: Mapping[Any, Any]) -> Iterator[dict[Any, Any]]:
    columns = {name: values for name, values in given.items() if isinstance(values, list | tuple)}
    if is_problem(given):
        raise UsageError(
            f"this {type(given).__name__} is a single problem: put it into a list, [problem]; of a mapping of columns, "
            "its values must be lists"
        )
    if len(columns) < len(given):
        shown = ", ".join(map(repr, given))[:200]
        splits = any(hasattr(values, "column_names") for values in given.values())
        way = f"choose one of its splits ({shown})" if splits else "its values must be lists, one for each column"
        raise UsageError(f"problems are not read from this {type(given).__name__}: {way}")
    if len({len(values) for values in columns.values()}) > 1:
        lengths = ", ".join(f"{name}: {len(values)}" for name, values in columns.items())
        raise UsageError(f"the columns of the problems are of several lengths ({lengths[:200]})")
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _plain(value: Any) -> Any:
    """A cell as plain values: arrays become lists of Python numbers, and NaN becomes None."""
    if hasattr(value, "tolist") and not isinstance(value, str | bytes):  # numpy
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _check_ids(problems: Iterable[Problem]) -> None:
    seen: set[str] = set()
    for problem in problems:
        if problem.id in seen:
            raise UsageError(f"two problems have the id {problem.id!r}: every problem needs one of its own")
        seen.add(problem.id)
