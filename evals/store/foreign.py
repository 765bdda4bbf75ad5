"""Generations that other tools recorded, in the recorded-trace schema; which tool a file is of, its content tells."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.problem import Grader, Problem
from widthwise.core.prompting.begun import with_begun
from widthwise.core.run_sync import run_sync
from widthwise.core.session.answers import stated_in
from widthwise.core.trace.recording import Recording, Sample
from widthwise.evals.input_file import regular_file
from widthwise.evals.store import batch_output, inspect_log, lm_eval_samples, search_and_learn
from widthwise.evals.store.importer import Row, accepted, importer_named, recognised
from widthwise.evals.store.recording_rows import from_row, read_recordings, to_row
from widthwise.evals.suites.rows import read_rows
from widthwise.evals.suites.suite import Suite
from widthwise.evals.suites.suites import grader_for

_log = logging.getLogger(__name__)

BUILT_IN = (
    lm_eval_samples.LM_EVAL,
    inspect_log.INSPECT,
    search_and_learn.SEARCH_AND_LEARN,
    batch_output.BATCH,
)
"""The importers that come with the package."""

_BARE = 3
"""Words of an answer that stands alone, at most."""
_PLACE = re.compile(r"[-_.:/#][^-_.:/#]+$")
"""What a request's id has after the problem's: the number of its sample, mostly."""


def read_generations(
    path: str | Path, importer: str | None = None, *, requests: Path | None = None, suite: Suite | None = None
) -> list[Recording]:
    """Recorded generations of our own schema or of another tool's log.

    ``importer`` names who reads the file; None tells it from the file's name and content. ``requests`` is the file of
    requests that a batch's output belongs to. The problems of a ``suite``, found by their id or their text, replace
    what the file says of them, and its grader reads answers where the other tool read none, and grades where it did
    not. Raises ``UsageError``, which names the formats that are read, for a file that nobody knows, or that is damaged.
    """
    file = regular_file(Path(path))
    try:
        reader = importer_named(importer) if importer else recognised(file, _first_row(file))
        if reader is None and requests is None and suite is None:
            return read_recordings(file)
        rows: Iterable[Row] = map(to_row, read_recordings(file)) if reader is None else reader.read(file)
        rows = rows if requests is None else batch_output.with_requests(rows, requests)
        if suite is None:
            return _recordings(file, rows)
        found = _recordings(file, _known(rows, suite.problems), suite.grader)
        return run_sync(_graded(found, suite.grader))
    except UsageError as error:
        raise UsageError(f"{error} (accepted formats: {accepted()})") from error


def _first_row(file: Path) -> Mapping[str, Any]:
    """The first row of a file of rows; empty for any other."""
    if file.suffix in (".eval", ".parquet") or (file.suffix == ".json" and not _is_list(file)):
        return {}
    return next(iter(read_rows(file)), (0, {}))[1]


def _is_list(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")


def _known(rows: Iterable[Row], problems: Sequence[Problem]) -> Iterable[Row]:
    """The rows, with the ``problems`` that they are of as these are; rows of none of them are left out."""
    found: dict[str, Row] = {}
    strangers = []
    by_id = {problem.id: problem for problem in problems}
    for row in rows:
        problem = by_id.get(row["problem_id"]) or by_id.get(_PLACE.sub("", row["problem_id"])) or _asked(row, problems)
        if problem is None:
            strangers.append(row["problem_id"])
            continue
        own = {"problem_id": problem.id, "problem": problem.text, "answer": problem.answer}
        found.setdefault(problem.id, {**problem.metadata, **row, **own, "samples": []})["samples"] += row["samples"]
    if not found:
        raise UsageError(f"none of the {len(strangers)} problems recorded, {strangers[0]!r} ..., is one of the suite's")
    if strangers:
        _log.warning("%d problems are none of the suite's and are left out: %.200s", len(strangers), strangers)
    return found.values()


def _asked(row: Row, problems: Sequence[Problem]) -> Problem | None:
    """The one problem whose text stands in the question that was asked."""
    asked = " ".join(row["problem"].split())
    found = [problem for problem in problems if " ".join(problem.text.split()) in asked]
    return found[0] if len(found) == 1 else None


def _recordings(path: Path, rows: Iterable[Row], grader: Grader | None = None) -> list[Recording]:
    found: list[Recording] = []
    unread: list[list[bool]] = []
    try:
        for row in rows:
            unread.append(["answer" not in sample for sample in row["samples"]])
            found.append(from_row(row))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise UsageError(f"{path}, problem {len(found) + 1}: {str(error)[:200]}") from error
    if not found:
        raise UsageError(f"{path} has no generations in it")
    reader = grader or grader_for([recording.problem for recording in found])
    return [_answered(*each, reader) for each in zip(with_begun(found), unread, strict=True)]


def _answered(recording: Recording, unread: Sequence[bool], grader: Grader) -> Recording:
    """The recording, its answers read by the grader's rules where the other tool read none."""
    if any(unread):
        _log.debug("problem %s: answers are read by the rules of the grader %s", recording.problem.id, grader.name)
    judge = grader.for_problem(recording.problem)
    pairs = zip(recording.samples, unread, strict=True)
    samples = [replace(sample, answer=_read(sample, judge)) if new else sample for sample, new in pairs]
    return replace(recording, samples=tuple(samples))


async def _graded(recordings: Sequence[Recording], grader: Grader) -> list[Recording]:
    """The recordings, their answers graded where the other tool did not."""
    return [replace(r, samples=tuple([await _verdict(s, r.problem, grader) for s in r.samples])) for r in recordings]


async def _verdict(sample: Sample, problem: Problem, grader: Grader) -> Sample:
    if sample.correct is not None or sample.answer is None or problem.answer is None:
        return sample
    return replace(sample, correct=await grader.for_problem(problem).correct(problem, sample.answer))


def _read(sample: Sample, grader: Grader) -> str | None:
    """The answer that a sample states, or is: a few words that stand alone."""
    stated = stated_in(sample, grader)
    bare = sample.text.strip()
    if stated is not None or not 0 < len(bare.split()) <= _BARE:
        return stated
    return stated_in(replace(sample, text=f"\\boxed{{{bare}}}"), grader)
