"""Importers: what reads a file of recorded generations that another tool wrote."""

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

Row = dict[str, Any]


def _nothing(path: Path, first: Mapping[str, Any]) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Importer:
    """One tool's format. ``rows`` reads a file as rows of the recorded-trace schema.

    ``recognises`` tells such a file from its name and its first row (empty where it is no JSON Lines file); an
    importer that recognises nothing is used where it is named.
    """

    name: str
    rows: Callable[[Path], Iterable[Row]]
    recognises: Callable[[Path, Mapping[str, Any]], bool] = _nothing
    about: str = ""

    def read(self, path: Path) -> list[Row]:
        """The rows of a file; ``UsageError``, one sentence, for whatever goes wrong."""
        try:
            rows = list(self.rows(path))
        except (WidthwiseError, OSError):
            raise
        except Exception as error:  # whatever a user's importer does with the file
            raise UsageError(f"{path} cannot be read by the importer {self.name}: {str(error)[:200]}") from error
        for row in rows:
            if not isinstance(row, dict) or not isinstance(row.get("samples"), list):
                raise ROLES["importer"].mismatch(f"the importer {self.name}", row)
        return rows


def importer_named(name: str) -> Importer:
    """The importer of a name or an import path; ``UsageError`` for neither."""
    return _importer(find("importer", name))


def recognised(path: Path, first: Mapping[str, Any]) -> Importer | None:
    """Who knows such a file, those of installed packages asked first; None where nobody does."""
    known = sorted(entries(ROLES["importer"]), key=lambda entry: entry.built_in)
    return next((each for each in map(_importer, known) if each.recognises(path, first)), None)


def accepted() -> str:
    """The formats that are read, built in and installed, as an error lists them."""
    known = [part.about or part.name for part in map(_importer, entries(ROLES["importer"]))]
    return "; ".join(["this project's own recordings (JSON Lines or Parquet)", *known])


def reference_answer(target: Any) -> str | None:
    """The answer that a target states: after ``####``, in a box, or all of it; the first of several targets."""
    if isinstance(target, list):
        target = target[0] if target else None
    if target is None:
        return None
    text = str(target)
    if "####" in text:
        return text.rpartition("####")[2].strip().replace(",", "")
    return (extract(text, MATH) if "\\boxed" in text else None) or text.strip()


def whole(answer: str, text: str) -> bool:
    """Whether ``answer`` is all of ``text`` but for case and white space: whoever gave it has read no answer in it."""
    return " ".join(answer.casefold().split()) == " ".join(text.casefold().split())


def with_thinking(thought: str, said: str) -> str:
    """A text whose thinking came apart from it, as models write it."""
    return f"<think>\n{thought}" + (f"\n</think>\n\n{said}" if said else "") if thought else said


def _importer(entry: Entry) -> Importer:
    part: Any = entry.load()
    if isinstance(part, Importer):
        return part
    if not isroutine(part):
        raise entry.role.misfit(entry.source, part)
    return Importer(entry.name, part)
