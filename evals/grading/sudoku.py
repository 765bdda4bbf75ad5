"""The grader of completed Sudoku grids."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.evals.grading import extraction
from widthwise.evals.grading.boxes import boxes
from widthwise.evals.grading.extraction import Policy, Reading, parts
from widthwise.evals.grading.lines import tags
from widthwise.evals.grading.rules_grader import RulesGrader
from widthwise.evals.grading.statement import MAX_ANSWER_CHARS, Statement
from widthwise.evals.suites.sudoku import SIZES, Grid, grid_of, puzzle_of

_WINDOW = 20_000
"""How many of a text's last characters are searched for rows."""
_LINE = 400
"""A longer line is no row."""
_DECORATION = re.compile(
    r"""\\begin\{(?:array|tabular|[bpvBV]?matrix)\}(?:\{[clr|@{}\s]{0,60}\})?
      | \\end\{(?:array|tabular|[bpvBV]?matrix)\} | \\hline | \\(?:left|right|text|mathrm|quad|,|;|\\|\[|\]|\(|\))
      | (?i:\br(?:ow)?[ _]?\d)["'*_]*\ ?[:.)=|–—-] | \b(?:[Aa]nswer|[Ss]olution)["'*_]*\ ?: | ```\w{0,10}
      | [\s|,;/&+=_*`'"$:.\[\](){}<>~│┃║─━═┼╋╬┬┴├┤┌┐└┘╔╗╚╝╠╣╦╩╪╫┏┓┗┛┣┫┳┻-]""",
    re.VERBOSE,
)
"""Whatever may stand between the digits of a grid: spaces, rules, brackets, a matrix in LaTeX, names of rows."""
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
_ROW_NAME = re.compile(
    rf"""(?ix)[\s|>*_"'`{{\[-]{{0,20}}
      (?:r(?:ow)?[ _]?(?P<number>\d) | (?:the\ )?(?:(?P<word>{"|".join(_ORDINALS)})|(?P<th>\d)(?:st|nd|rd|th))\ row)
      ["'*_]{{0,4}}\ ?(?:is\b\ ?:?|[:.)=|–—-])"""
)
"""What names a row at the beginning of its line."""
_ELSEWHERE = re.compile(r"(?i)\b(?:col|columns?|box|boxes|blocks?|sub-?grids?|transposed?)\b")
_HERE = re.compile(r"(?i)\b(?:rows?|grid|solution|answer|puzzle|sudoku)\b")
_NEGATED = re.compile(r"(?i)\b(?:not|wrong|incorrect|instead)\b")
"""Words of a sentence that introduces columns and the like, of one about the grid, and of one that denies it."""
_WORDS = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class SudokuGrader(RulesGrader):
    """Grades completed grids: the given cells kept, each row, column and box with every digit once.

    A problem gives its ``puzzle`` in its metadata. A grid may be written in any usual form: rows of digits with or
    without separators and rules, a list of lists, a Markdown table, a LaTeX array, one line of all digits. The last
    box or tag is the answer; without any, the last complete grid that stands in lines of its own.
    """

    name: str = "sudoku"
    policy: Policy = extraction.SUDOKU
    what: ClassVar[str] = "judges completed grids: given cells kept, every digit once in each row, column and box"
    rule: ClassVar[str] = "the grid completes the puzzle by the rules"

    def read(self, text: str) -> Reading | None:
        """Like ``extract``, with where the grid was found; the answer is its rows, joined by ``/``."""
        for part in parts(text, self.thinking):
            for statement in _statements(part):
                grid = read_grid(statement.text) or _grid_in(part, statement)
                return None if grid is None else Reading(str(grid), statement.reader, statement.at, statement.text)
        return None

    def form(self, answer: str) -> str:
        return _form(answer)

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


def _grid_in(text: str, statement: Statement) -> Grid | None:
    """The last grid in the lines of a box or a tag, which may have a header, labels and words beside it."""
    inside = text[statement.at : statement.end].partition(">")[2] if statement.reader == "tags" else statement.text
    return next((read_grid(block.text) for block in _blocks(inside)), None)


def _statements(text: str) -> Iterator[Statement]:
    """Where the text states a grid: its last box or tag, else its last grid in lines of its own."""
    stated = sorted((*boxes(text), *tags(text)), key=lambda statement: statement.at)
    yield from stated[-1:] or _blocks(text)


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of digits at ``at``; ``number`` is what its label says, None without one."""

    at: int
    digits: str
    number: int | None = None

    def follows(self, rows: Sequence[_Row]) -> bool:
        """Whether it goes on with ``rows``: labels count up from 1."""
        before = rows[-1].number if rows else None
        return self.number == (None if before is None else before + 1)


def _blocks(text: str) -> Iterator[Statement]:
    """The last grid that is written in lines: as many rows in succession as each has digits, or one line of all."""
    window = text[-_WINDOW:]
    rows: list[_Row] = []
    found: list[Statement] = []
    at, other = len(text) - len(window), False
    for line in window.splitlines(keepends=True):
        row = _row(line, at)
        if row is None:
            rows.clear()
            other = _introduces_another(line)
            row = None if other else _inline(line, at)
        if row is not None and row.digits and not other:
            if not row.follows(rows):
                rows.clear()
            rows.append(row)
            found += _grid_at_the_end(rows)
        at += len(line)
    yield from found[-1:]


def _row(line: str, at: int) -> _Row | None:
    """The digits of a line, without its label; None if there is more in it than digits."""
    if len(line) > _LINE:
        return None
    name = _ROW_NAME.match(line)
    digits = _DECORATION.sub("", line[name.end() :] if name else line)
    if digits and not (digits.isascii() and digits.isdecimal()):
        return None
    if name:
        word = name["word"]
        return _Row(at, digits, _ORDINALS.index(word.lower()) + 1 if word else int(name["number"] or name["th"]))
    return _Row(at, digits[1:], int(digits[0])) if len(digits) - 1 in SIZES else _Row(at, digits)


def _inline(line: str, at: int) -> _Row | None:
    """What a sentence says in digits: a whole grid, or the first row of a list that goes on in the next lines."""
    pieces = [_DECORATION.sub("", piece) for piece in _WORDS.split(line)] if len(line) <= _LINE else []
    whole = [piece for piece in pieces if len(piece) in {size**2 for size in SIZES} and read_grid(piece) is not None]
    if whole:
        return _Row(at, whole[-1])
    opened = "[[" in "".join(line.split()) and pieces and len(pieces[-1]) in SIZES and pieces[-1].isdecimal()
    return _Row(at, pieces[-1]) if opened else None


def _introduces_another(line: str) -> bool:
    """Whether a sentence introduces columns, boxes or a wrong grid."""
    named = _ELSEWHERE.search(line) is not None and _HERE.search(line) is None
    return named or _NEGATED.search(line) is not None


def _grid_at_the_end(rows: Sequence[_Row]) -> Iterator[Statement]:
    """The grid that ends with the last of ``rows``, if there is one."""
    for size in SIZES:
        for count, length in ((size, size), (1, size**2)):
            last = rows[-count:]
            digits = "".join(row.digits for row in last)
            whole = len(last) == count and all(len(row.digits) == length for row in last)
            if whole and last[0].number in (None, 1) and read_grid(digits) is not None:
                yield Statement("grid", last[0].at, digits)
