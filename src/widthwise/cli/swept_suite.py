"""What a sweep has found on one suite: its table, figure and report, and what the terminal shows of it."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.cli.matched import show_matched
from widthwise.cli.terminal import known, say
from widthwise.core.brief import counted
from widthwise.sweeping import Sweeping
from widthwise.swept import Sweep

if TYPE_CHECKING:
    from widthwise.evals.measure.matched import Matched


@dataclass(frozen=True, slots=True)
class SweptSuite:
    """One suite of a sweep; its files are named ``stem`` with different extensions."""

    swept: Sweep
    matched: Matched
    stem: Path

    @classmethod
    def of(cls, swept: Sweep, sweeping: Sweeping) -> SweptSuite:
        """``swept`` is the part of the sweep that was done on the suite."""
        from widthwise.evals.measure.matched import Matched

        budgets = sorted({cell.limit for cell in sweeping.plan.cells})
        suite = swept.suites[0]
        stem = sweeping.folder / file_name(suite, {task.suite for task in sweeping.plan.tasks})
        return cls(swept, Matched.of(swept.curves, swept.plan.axis, budgets), stem)

    @property
    def notes(self) -> list[str]:
        return list(dict.fromkeys(note for curve in self.swept.curves for note in curve.notes))

    def files(self, *, report: bool) -> list[Path]:
        """The files to write."""
        endings = [".csv", ".parquet", ".svg", *[".html"] * report]
        return [self.stem.with_name(f"{self.stem.name}{ending}") for ending in endings]

    def write(self, *, report: bool) -> None:
        """Write the files; raises ``UsageError`` if the folder does not allow it."""
        from widthwise.evals.views.plots import save
        from widthwise.evals.views.table_files import write_table

        csv, parquet, figure, *page = self.files(report=report)
        for file in (csv, parquet):
            write_table(self.swept.to_arrow(), file)
        save(self.swept.plot(), figure)
        for file in page:
            self._write_report(file)

    def _write_report(self, file: Path) -> None:
        from widthwise.evals.views.report import write_report

        write_report(self.swept.runs, file, compared=self.matched, prices=self.swept.prices)

    def show(self) -> None:
        """Print what was found."""
        first = self.swept.curves[0]
        say(f"\n{first.suite}: {counted(len(first.problems), 'problem')}, {first.model}")
        show_matched(self.matched)
        for note in self.notes:
            say(f"note: {note}")

    def asdict(self) -> dict[str, Any]:
        """The same as JSON values."""
        first = self.swept.curves[0]
        return {
            "suite": first.suite,
            "model": first.model,
            "problems": len(first.problems),
            "points": known(self.swept.table()),
            "comparison": known(self.matched.asdict()),
            "notes": self.notes,
        }


def file_name(suite: str, suites: Collection[str]) -> str:
    """The file name for a suite: its name, with its arguments if another of ``suites`` has the same name."""
    short = _short(suite)
    if sum(_short(other) == short for other in suites) == 1:
        return short
    return re.sub(r"\W+", "_", suite).strip("_")[:200]


def _short(suite: str) -> str:
    return Path(suite.partition("(")[0]).stem.replace(":", "_")
