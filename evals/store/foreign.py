"""Generations that other tools recorded, in the recorded-trace schema; the file's content tells which tool wrote it."""

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

RECORDINGS = (".jsonl", ".parquet", ".json", ".eval")
"""Extensions of files with recorded generations, ours or another tool's; anything else is a run file."""

_BARE = 3
"""The most words of an answer that stands alone."""
_DATABASE = b"SQLite format 3\0"
_PLACE = re.compile(r"[-_.:/#][^-_.:/#]+$")
"""What usually follows the problem's id in a request's id: the number of its sample."""


def read_generations(
    path: str | Path, importer: str | None = None, *, requests: Path | None = None, suite: Suite | None = None
) -> list[Recording]:
    """Recorded generations in our own schema or from another tool's log.

    ``importer`` names the importer to use; None tells it from the file's name and content. ``requests`` is the file of
    requests that belongs to a batch's output. The problems of a ``suite``, found by their id or their text, replace
    what the file says of them, and its grader reads answers where the other tool read none, and grades where it did
    not. Raises ``UsageError``, which names the accepted formats, for a file of unknown format, or a damaged one.
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
        if _is_database(file):
            raise UsageError(
                f"{file} is a database, as run files are; a run is not imported: open it as it is"
            ) from error
        raise UsageError(f"{error} (accepted formats: {accepted()})") from error


def _is_database(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return opened.read(len(_DATABASE)) == _DATABASE
    except OSError:
        return False


def _first_row(file: Path) -> Mapping[str, Any]:
    """The first row of a file of rows; empty for any other."""
    if file.suffix in (".eval", ".parquet") or (file.suffix == ".json" and not _is_list(file)):
        return {}
    return next(iter(read_rows(file)), (0, {}))[1]


def _is_list(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")


def _known(rows: Iterable[Row], problems: Sequence[Problem]) -> Iterable[Row]:
    """The rows, with their problems replaced by matching ``problems``; rows without a match are left out."""
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
        raise UsageError(f"none of the {len(strangers)} recorded problems, {strangers[0]!r} ..., belongs to the suite")
    if strangers:
        _log.warning("%d problems do not belong to the suite and are left out: %.200s", len(strangers), strangers)
    return found.values()


def _asked(row: Row, problems: Sequence[Problem]) -> Problem | None:
    """The only problem whose text occurs in the question that was asked."""
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
        raise UsageError(f"{path} contains no generations")
    reader = grader or grader_for([recording.problem for recording in found])
    return [_answered(*each, reader) for each in zip(with_begun(found), unread, strict=True)]


def _answered(recording: Recording, unread: Sequence[bool], grader: Grader) -> Recording:
    """The recording, with answers read by the grader's rules where the other tool read none."""
    if any(unread):
        _log.debug("problem %s: the rules of the grader %s read its answers", recording.problem.id, grader.name)
    judge = grader.for_problem(recording.problem)
    pairs = zip(recording.samples, unread, strict=True)
    samples = [replace(sample, answer=_read(sample, judge)) if new else sample for sample, new in pairs]
    return replace(recording, samples=tuple(samples))


async def _graded(recordings: Sequence[Recording], grader: Grader) -> list[Recording]:
    """The recordings, with answers graded where the other tool did not grade them."""
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
