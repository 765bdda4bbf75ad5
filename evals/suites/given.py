"""Suites from what a caller has at hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from widthwise.core.errors import UsageError
from widthwise.evals.suites.suites import Suite, load_suite


def suite_of(given: str | Path | Suite, limit: int | None = None) -> Suite:
    """A suite of a name, of a data file's path, or the one given; ``limit`` keeps the first so many problems.

    Raises ``UsageError`` for anything else, and as ``load_suite`` does.
    """
    if isinstance(given, Suite):
        return given if limit is None else replace(given, problems=given.problems[:limit])
    if isinstance(given, Path):
        return load_suite(data=given, limit=limit)
    if isinstance(given, str):
        return load_suite(given, limit=limit)
    raise UsageError(
        f"a suite is a name, a path of a data file or a ww.Suite, not {given!r:.60} ({type(given).__name__})"
    )
