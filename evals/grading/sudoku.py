"""The grader of completed Sudoku grids."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from widthwise.core.errors import UsageError
from widthwise.core.problem import Partition, Problem
from widthwise.evals.grading import extraction
from widthwise.evals.grading.boxes import boxes
from widthwise.evals.grading.equality import Verdict
from widthwise.evals.grading.extraction import Policy, Reading, parts
from widthwise.evals.grading.lines import tags
from widthwise.evals.grading.policy_grader import PolicyGrader
from widthwise.evals.grading.statement import MAX_ANSWER_CHARS, Statement
from widthwise.evals.suites.sudoku import SIZES, Grid, grid_of, puzzle_of

_WINDOW = 20_000
"""How many of a text's last characters are searched for rows."""
_LINE = 400
"""A longer line is no row."""
_DECORATION = re.compile(
    r"""\\begin\{(?:array|tabular|[bpvBV]?matrix)\}(?:\{[clr|@{}\s]{0,60}\})?
      | \\end\{(?:array|tabular|[bpvBV]?matrix)\} | \\hline | \\(?:left|right|text|mathrm|quad|,|;|\\|\[|\]|\(|\))
      | \b[Rr](?:ow)?\ ?\d\ ?[:.)=] | \b(?:[Aa]nswer|[Ss]olution)\ ?: | ```\w{0,10}
      | [\s|,;/&+=_*`'"$:.\[\](){}<>~│┃║─━═┼╋╬┬┴├┤┌┐└┘╔╗╚╝╠╣╦╩╪╫┏┓┗┛┣┫┳┻-]""",
    re.VERBOSE,
)
"""Whatever may stand between the digits of a grid: spaces, rules, brackets, a matrix in LaTeX, names of rows."""


@dataclass(frozen=True)
class SudokuGrader(PolicyGrader):
    """Grades completed grids: the given cells kept, each row, column and box with every digit once.

    A problem gives its ``puzzle`` in its metadata. A grid may be written in any usual form: rows of digits with or
    without separators and rules, a list of lists, a Markdown table, a LaTeX array, one line of all digits. The last
    box or tag is the answer; without any, the last complete grid that stands in lines of its own.
    """

    name: str = "sudoku"
    policy: Policy = extraction.SUDOKU
    what: ClassVar[str] = "judges completed grids: given cells kept, every digit once in each row, column and box"

    def read(self, text: str) -> Reading | None:
        """Like ``extract``, with where the grid was found; the answer is its rows, joined by ``/``."""
        for part in parts(text, self.thinking):
            for statement in _statements(part):
                grid = read_grid(statement.text)
                return None if grid is None else Reading(str(grid), statement.reader, statement.at, statement.text)
        return None

    async def partition(self, answers: Sequence[str]) -> Partition:
        return Partition.of(map(_form, answers))

    async def correct(self, problem: Problem, answer: str) -> bool:
        return await self.valid(problem, answer)

    async def verdict(self, problem: Problem, answer: str) -> Verdict:
        """Like ``correct``, with the rule that decided."""
        right = await self.valid(problem, answer)
        return Verdict("same" if right else "different", "the grid completes the puzzle by the rules")

    async def valid(self, problem: Problem, answer: str) -> bool:
        """Raises UsageError if the problem has no puzzle."""
        puzzle, grid = puzzle_of(str(problem.metadata.get("puzzle", ""))), read_grid(answer)
        if puzzle is None:
            raise UsageError(f"problem {problem.id} is not a Sudoku: it needs a `puzzle`")
        return grid is not None and grid.completes(puzzle)


@lru_cache(maxsize=10_000)
def read_grid(text: str) -> Grid | None:
    """The completed grid that ``text`` spells, and nothing else; None for anything else."""
    digits = _DECORATION.sub("", text) if len(text) <= MAX_ANSWER_CHARS else ""
    return grid_of([int(digit) for digit in digits]) if digits.isascii() and digits.isdecimal() else None


def _form(answer: str) -> str:
    """The common form of equal grids; anything else is equal only to its own spelling."""
    grid = read_grid(answer)
    return f"? {' '.join(answer.split())}" if grid is None else str(grid)


def _statements(text: str) -> Iterator[Statement]:
    """Where the text states a grid: its last box or tag, else its last grid in lines of its own."""
    stated = sorted((*boxes(text), *tags(text)), key=lambda statement: statement.at)
    yield from stated[-1:] or _blocks(text)


def _blocks(text: str) -> Iterator[Statement]:
    """The last grid that is written in lines: as many rows in succession as each has digits, or one line of all."""
    window = text[-_WINDOW:]
    rows: list[tuple[int, str]] = []
    found: list[Statement] = []
    at = len(text) - len(window)
    for line in window.splitlines(keepends=True):
        digits = _DECORATION.sub("", line) if len(line) <= _LINE else "?"
        if digits and not (digits.isascii() and digits.isdecimal()):
            rows.clear()
        elif digits:
            rows.append((at, digits))
            found += _grid_at_the_end(rows)
        at += len(line)
    yield from found[-1:]


def _grid_at_the_end(rows: list[tuple[int, str]]) -> Iterator[Statement]:
    """The grid that ends with the last of ``rows``, if there is one."""
    for size in SIZES:
        for count, length in ((size, size), (1, size**2)):
            last = rows[-count:]
            digits = "".join(row for _, row in last)
            if len(last) == count and all(len(row) == length for _, row in last) and read_grid(digits) is not None:
                yield Statement("grid", last[0][0], digits)
