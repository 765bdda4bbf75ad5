"""Importers: each reads files of recorded generations that another tool wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import isroutine
from pathlib import Path
from typing import Any

from widthwise.core.errors import UsageError, WidthwiseError
from widthwise.core.registry import Entry, entries, find
from widthwise.core.roles import ROLES
from widthwise.evals.grading.extraction import MATH, extract
from widthwise.evals.grading.graders import ALSO

Row = dict[str, Any]


def _nothing(path: Path, first: Mapping[str, Any]) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Importer:
    """One tool's format. ``rows`` reads a file as rows of the recorded-trace schema.

    ``recognises`` identifies such a file by its name and its first row (empty if it is not a JSON Lines file); an
    importer that recognises nothing must be named.
    """

    name: str
    rows: Callable[[Path], Iterable[Row]]
    recognises: Callable[[Path, Mapping[str, Any]], bool] = _nothing
    about: str = ""

    def read(self, path: Path) -> list[Row]:
        """The rows of a file; ``UsageError``, one sentence, for anything that goes wrong."""
        try:
            rows = list(self.rows(path))
        except (WidthwiseError, OSError):
            raise
        except Exception as error:  # a user's importer may raise anything
            raise UsageError(f"{path} cannot be read by the importer {self.name}: {str(error)[:200]}") from error
        for row in rows:
            if not isinstance(row, dict) or not isinstance(row.get("samples"), list):
                raise ROLES["importer"].mismatch(f"the importer {self.name}", row)
        return rows


def importer_named(name: str) -> Importer:
    """The importer for a name or an import path; ``UsageError`` if there is none."""
    return _importer(find("importer", name))


def recognised(path: Path, first: Mapping[str, Any]) -> Importer | None:
    """The importer that recognises such a file, those of installed packages first; None if there is none."""
    known = sorted(entries(ROLES["importer"]), key=lambda entry: entry.built_in)
    return next((each for each in map(_importer, known) if each.recognises(path, first)), None)


def accepted() -> str:
    """The formats that can be read, built in and installed, as an error lists them."""
    known = [part.about or part.name for part in map(_importer, entries(ROLES["importer"]))]
    return "; ".join(["this project's own recordings (JSON Lines or Parquet)", *known])


def reference_answer(target: Any) -> str | None:
    """The answer that a target states: after ``####``, in a box, or all of it; of several targets, the first."""
    return next(iter(_references(target)), None)


def other_answers(target: Any) -> dict[str, list[str]]:
    """The further answers of a target that has several, as a field of its row: each of them is right."""
    found = list(dict.fromkeys(_references(target)))[1:]
    return {ALSO: found} if found else {}


def _references(target: Any) -> list[str]:
    targets = target if isinstance(target, list) else [target]
    return [_stated_in(str(each)) for each in targets if each is not None]


def _stated_in(text: str) -> str:
    if "####" in text:
        return text.rpartition("####")[2].strip().replace(",", "")
    return (extract(text, MATH) if "\\boxed" in text else None) or text.strip()


def whole(answer: str, text: str) -> bool:
    """Whether ``answer`` is all of ``text``, ignoring case and white space: then no answer was read in it."""
    return " ".join(answer.casefold().split()) == " ".join(text.casefold().split())


def with_thinking(thought: str, said: str) -> str:
    """A text whose thinking was delivered separately, in the form in which models write it."""
    return f"<think>\n{thought}" + (f"\n</think>\n\n{said}" if said else "") if thought else said


def _importer(entry: Entry) -> Importer:
    part: Any = entry.load()
    if isinstance(part, Importer):
        return part
    if not isroutine(part):
        raise entry.role.misfit(entry.source, part)
    return Importer(entry.name, part)
