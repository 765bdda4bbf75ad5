"""Suites: named sets of problems with their grader, bundled, from the hub, or from a file."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.problem import Grader, Problem
from widthwise.core.registry import Entry, entries, find, value_of
from widthwise.core.roles import ROLES
from widthwise.evals.named_call import named_call
from widthwise.evals.store.recording_rows import read_recordings
from widthwise.evals.store.store import Store
from widthwise.evals.suites.benchmark import Benchmark
from widthwise.evals.suites.columns import Row, chosen
from widthwise.evals.suites.hub import BENCHMARKS, hub_rows
from widthwise.evals.suites.manners import judge, shown_by, stand_in_for, told_from
from widthwise.evals.suites.rows import FILES, Layout, read_problems, read_rows
from widthwise.evals.suites.suite import Suite

_log = logging.getLogger(__name__)

_RUN_FILE = ".db"
"""The extension of run files."""

_MIXED = "mixed"
"""The name of the graders that grade each problem by its own rules."""


@dataclass(frozen=True, slots=True)
class SuiteInfo:
    """One line of the list of suites."""

    name: str
    size: int | None
    source: str
    licence: str
    description: str

    @classmethod
    def of(cls, entry: Entry) -> SuiteInfo:
        """What a suite says of itself; if it is not available, why."""
        try:
            part = entry.load()
        except UsageError as error:
            return cls(entry.name, None, entry.origin, "", str(error))
        if isinstance(part, Benchmark):
            source = part.source.format(**part.checked({}))
            return cls(part.name, part.size, source, part.licence, part.description)
        if isinstance(part, Suite):
            return cls(entry.name, len(part.problems), part.source, "", f"from {entry.origin}")
        said = (inspect.getdoc(part) or "").partition("\n")[0]
        return cls(entry.name, None, entry.origin, "", said)


def list_suites() -> list[SuiteInfo]:
    """All named suites."""
    return [SuiteInfo.of(entry) for entry in entries(ROLES["suite"])]


def load_suite(
    name_or_spec: str | None = None,
    data: Path | None = None,
    limit: int | None = None,
    columns: Mapping[str, str] | None = None,
) -> Suite:
    """A suite by name, from a file, or both: the file's problems graded as the named suite grades.

    ``name_or_spec`` is a suite's name or import path (``mine:suite``), with its arguments, if it takes any
    (``countdown(numbers=4, seed=7, n=1000)``, ``math500(levels=[1, 2])``), or the path of such a file. ``data`` is a
    file (JSON Lines, Parquet, CSV, JSON) of problems or of recorded generations, or a run file; without a name, its
    columns and problems determine the grader. ``limit`` keeps the first so many problems. ``columns`` says from which
    column of a file a field is read, such as ``{"answer": "output"}``; the fields are those of
    :mod:`widthwise.evals.suites.columns`. Raises UsageError for anything wrong with the request or the file.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"the limit must be at least 1, not {limit}")
    if data is None and name_or_spec is not None and name_or_spec.endswith((*FILES, _RUN_FILE)):
        data = Path(name_or_spec)
        name_or_spec = None
    if data is not None:
        suite = _from_file(data, name_or_spec, columns or {})
    elif columns:
        raise UsageError("--column applies to a file of problems: give one with --data FILE")
    elif name_or_spec is not None:
        suite = _by_name(name_or_spec)
    else:
        raise UsageError(f"name a suite ({', '.join(BENCHMARKS)}) or give a file with --data FILE")
    if limit is None or limit >= len(suite.problems):
        return suite
    return replace(suite, problems=suite.problems[:limit])


def grader_of(store: Store, *, anew: bool = False) -> Grader:
    """The grader of a run: the one that graded it last, with the arguments it had, else that of its problems.

    If it is not known here, the problems' own grader says which of the stored answers are equal; ``anew`` says that
    they are to be graded again, and raises ``UsageError`` then. A function's answers were read by another grader, which
    also says which are equal. Arguments of an older version that no longer exist are left out, and logged.
    """
    said = {**store.manifest["configuration"], **store.manifest.get("graded", {})}
    recorded, arguments = said.get("grader"), said.get("grading") or {}
    if not anew and ":" in (recorded or ""):
        recorded, arguments = arguments.get("reads"), {}
    grader = grader_for(store.problems(), said.get("suite"), recorded)
    if recorded not in (None, _MIXED, grader.name):
        unknown = f"the run was graded by {recorded!r}, which is neither built in nor installed"
        if anew:
            raise UsageError(f"{unknown}; name it with --grader")
        _log.warning("%s: %s: its grades stand; equal answers are found by %r", store.path, unknown, grader.name)
        return grader
    try:
        return changed(grader, arguments)
    except UsageError as error:
        _log.warning("%s is graded by %s with its defaults: %s", store.path, grader.name, error)
        return grader


def changed(grader: Grader, arguments: Mapping[str, Any]) -> Grader:
    """``grader`` with other arguments; ``UsageError`` if it has no argument of such a name, or takes none."""
    if dict(grader.settings) == dict(arguments) or not arguments:
        return grader
    change = getattr(grader, "changed", None)
    if change is None:
        raise UsageError(f"the grader {grader.name} takes no arguments")
    made: Grader = change(**arguments)
    return made


def grader_for(problems: Sequence[Problem], suite: str | None = None, recorded: str | None = None) -> Grader:
    """The grader of a run's problems: that of the suite they came from, else determined by the problems.

    ``recorded`` is the name of the grader of the run; if that is another one that is built in or installed, it grades.
    """
    told = judge(problems, BENCHMARKS.get((suite or "").partition("(")[0].strip()) or told_from(problems))
    if recorded is None or recorded == told.name:
        return told
    try:
        own: Grader = value_of(find("grader", recorded, trusted=False))
    except UsageError:  # the caller sees by its name that it is another
        return told
    return own


# --- By name ------------------------------------------------------------------------------------------------------


_SPELLING = "countdown(numbers=4, seed=7, n=100)"


GYM_NAME = "gym"


def _named(spec: str) -> tuple[str, dict[str, Any]]:
    """The suite's name and its arguments; ``gym:NAME(...)`` is the suite gym with a name."""
    name, given = named_call(spec, "suite", _SPELLING)
    if name.startswith(f"{GYM_NAME}:"):
        return GYM_NAME, {"name": name.removeprefix(f"{GYM_NAME}:"), **given}
    return name, given


def _by_name(spec: str) -> Suite:
    name, given = _named(spec)
    entry = find("suite", name)
    part = entry.load()
    if not isinstance(part, Benchmark):
        return replace(_own(entry, given), name=spec.strip()) if name == GYM_NAME else _own(entry, given)
    arguments = part.checked(given)
    if part.generate and "(" in spec:
        problems, source = _generated(part, arguments)
    else:
        problems, source = _problems(part, arguments), part.source.format(**arguments)
    return _suite(spec.strip(), part, part.kept(problems, arguments), source)


def _problems(benchmark: Benchmark, arguments: Mapping[str, Any]) -> list[Problem]:
    """The problems of a bundled file, of the hub, or of the members that the arguments choose."""
    if benchmark.members:
        return [problem for value in arguments[benchmark.chooses] for problem in _member(benchmark, value)]
    rows = read_rows(benchmark.file, leave=("samples",)) if benchmark.path is None else hub_rows(benchmark, arguments)
    origin = benchmark.path or str(benchmark.file)
    return read_problems(rows, origin, benchmark.name, benchmark.layout_of(arguments))


def _member(benchmark: Benchmark, value: Any) -> list[Problem]:
    if value not in benchmark.members:
        there = ", ".join(map(str, benchmark.members))
        raise UsageError(
            f"{benchmark.name}: of {benchmark.chooses} the hub has {there}, not {value}; give a file with --data FILE"
        )
    member = benchmark.members[value]
    facts = {benchmark.chooses.rstrip("s"): value}
    return [replace(problem, metadata={**problem.metadata, **facts}) for problem in _problems(member, {})]


def _own(entry: Entry, arguments: Mapping[str, Any]) -> Suite:
    """A suite of the user's own or of an installed package; a bare list of problems is graded like a file's."""
    made = value_of(entry, **arguments)
    if isinstance(made, Suite):
        return made
    if not isinstance(made, list | tuple) or not all(isinstance(problem, Problem) for problem in made):
        raise entry.role.mismatch(entry.source, made)
    if not made:
        raise UsageError(f"the suite {entry.name} is empty: a suite needs at least one problem")
    return _suite(entry.name, told_from(made), made, f"made by {entry.source}")


def _manner(spec: str) -> tuple[Benchmark, dict[str, Any]]:
    """How the named suite reads, grades and asks, for the problems of a file, and the arguments that were given."""
    name, given = _named(spec)
    if name == GYM_NAME:
        raise UsageError(f"{spec.strip()} generates its problems: it takes none from a file")
    entry = find("suite", name)
    if isinstance(part := entry.load(), Benchmark):
        part.checked(given)
        return part, given
    own = _own(entry, given)
    return Benchmark(own.name, len(own.problems), own.grader, "", "", instruction=own.instruction), {}


def _generated(benchmark: Benchmark, arguments: Mapping[str, Any]) -> tuple[list[Problem], str]:
    assert benchmark.generate is not None
    said = f"{benchmark.name}({', '.join(f'{key}={value}' for key, value in arguments.items())})"
    try:
        return benchmark.generate(**arguments), f"generated by {said}"
    except ValueError as error:  # the space of problems is too small
        raise UsageError(f"{said}: {error}") from error


# --- From a file --------------------------------------------------------------------------------------------------


def _from_file(path: Path, spec: str | None, columns: Mapping[str, str]) -> Suite:
    named, given = (None, {}) if spec is None else _manner(spec)
    if path.suffix == ".db":
        return _from_run(path, named, given)

    first = next(chosen(read_rows(path), columns, str(path)), None)
    if first is not None and "samples" in first[1]:
        problems = [recording.problem for recording in read_recordings(path)]
        manner = named or shown_by(first[1])
        _refuse_others(manner, given, path)
        return _kept(spec, path.stem, manner, given, problems, f"file: {path.name}")
    return suite_of_rows(read_rows(path), str(path), path.stem, f"file: {path.name}", spec=spec, columns=columns)


def suite_of_rows(
    rows: Iterable[tuple[int, Row]],
    origin: str,
    name: str,
    source: str,
    *,
    spec: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Suite:
    """A suite of numbered ``rows``, graded and asked like the suite ``spec``, else as their columns and problems show.

    ``origin`` is named in errors. Raises UsageError for anything wrong with the rows.
    """
    named, given = (None, {}) if spec is None else _manner(spec)
    chosen_rows = chosen(rows, columns or {}, origin)
    first = next(chosen_rows, None)
    if first is None:
        raise UsageError(f"{origin} is empty: a suite needs at least one problem")
    manner = named or shown_by(first[1])
    problems = read_problems(chain([first], chosen_rows), origin, name, _layout(manner, given, origin))
    return _kept(spec, name, manner, given, problems, source)


def suite_of_problems(problems: Sequence[Problem], name: str, source: str, *, spec: str | None = None) -> Suite:
    """A suite of problems, graded and asked like the suite ``spec``, else as the problems show; raises UsageError."""
    if not problems:
        raise UsageError(f"the suite {name} is empty: a suite needs at least one problem")
    named, given = (None, {}) if spec is None else _manner(spec)
    _refuse_others(named, given, name)
    return _kept(spec, name, named, given, problems, source)


def _kept(
    spec: str | None,
    name: str,
    manner: Benchmark | None,
    given: Mapping[str, Any],
    problems: Sequence[Problem],
    source: str,
) -> Suite:
    about = manner or told_from(problems)
    kept = about.kept(problems, about.checked(given)) if given else problems
    return _suite(spec.strip() if spec else name, about, kept, source)


def _layout(manner: Benchmark | None, given: Mapping[str, Any], path: Path | str) -> Layout | None:
    if manner is None:
        return None
    _refuse_others(manner, given, path, *manner.reads)
    return manner.layout_of(manner.checked(given))


def _refuse_others(manner: Benchmark | None, given: Mapping[str, Any], path: Path | str, *read: str) -> None:
    """Refuse arguments that cannot apply to the problems of a file: those that choose or make other problems."""
    for name in given:
        if manner and name not in (*manner.keeps, *read):
            raise UsageError(f"{manner.name}: {name} does not apply to the problems of {path}, which are fixed")


def _from_run(path: Path, benchmark: Benchmark | None, given: Mapping[str, Any]) -> Suite:
    """The problems of a run file, graded as they were."""
    _refuse_others(benchmark, given, path)
    with Store.read(path) as store:
        problems = list(store.problems())
        name = benchmark.name if benchmark else store.manifest["configuration"].get("suite") or path.stem
    about = benchmark or BENCHMARKS.get(name.partition("(")[0]) or told_from(problems)
    kept = about.kept(problems, about.checked(given)) if given else problems
    return _suite(name, about, kept, f"run: {path.name}")


def _suite(name: str, benchmark: Benchmark, problems: Sequence[Problem], source: str) -> Suite:
    if not problems:
        raise UsageError(f"the suite {name} is empty: a suite needs at least one problem ({source})")
    benchmark.needs()
    source += stand_in_for(problems)
    return Suite(name, tuple(problems), judge(problems, benchmark), source, benchmark.instruction, benchmark.model)
