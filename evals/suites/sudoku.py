"""Sudoku: complete a grid so that each row, each column and each box has every digit once.

Three parts: an exact solver, a generator of held-out puzzles with a single solution, and a checker of completed grids.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isqrt

from widthwise.core.problem import Problem
from widthwise.evals.suites.holdout import held_out

SIZES = (4, 9)
BLANKS = {4: 8, 9: 40}
"""How many cells are empty by default."""
MOST_BLANKS = {4: 11, 9: 50}
"""With more, few grids have puzzles with a single solution."""
DRAWS = 400  # attempts at another problem before giving up

Cells = tuple[int, ...]
"""A grid row by row; 0 is an empty cell."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A square of ``size`` rows; ``cells`` row by row, 0 where it is empty."""

    size: int
    cells: Cells

    @property
    def box(self) -> int:
        """How many rows and columns a box has."""
        return isqrt(self.size)

    def units(self, cell: int) -> tuple[int, int, int]:
        """The row, the column and the box of a cell, each counted from 0."""
        row, column = divmod(cell, self.size)
        return row, column, row // self.box * self.box + column // self.box

    def filled(self, cell: int, digit: int) -> Grid:
        """The grid with another digit in a cell."""
        return replace(self, cells=(*self.cells[:cell], digit, *self.cells[cell + 1 :]))

    @property
    def complete(self) -> bool:
        """Whether each row, each column and each box has every digit once."""
        seen = {(kind, unit, digit) for i, digit in enumerate(self.cells) for kind, unit in enumerate(self.units(i))}
        return len(seen) == 3 * self.size**2 and all(1 <= digit <= self.size for digit in self.cells)

    def completes(self, puzzle: Grid) -> bool:
        """Whether this is ``puzzle`` with its empty cells filled by the rules."""
        kept = all(given in (0, digit) for given, digit in zip(puzzle.cells, self.cells, strict=False))
        return self.size == puzzle.size and kept and self.complete

    def __str__(self) -> str:
        """Its rows, joined by ``/``."""
        return "/".join("".join(map(str, row)) for row in self.rows)

    @property
    def rows(self) -> list[Cells]:
        return [self.cells[start : start + self.size] for start in range(0, self.size**2, self.size)]

    @property
    def key(self) -> str:
        """The canonical key of a puzzle, whatever its digits are called, for the held-out split."""
        names: dict[int, int] = {0: 0}
        cells = [names.setdefault(digit, len(names)) for digit in self.cells]
        return f"sudoku {replace(self, cells=tuple(cells))}"


# --- Problems ---------------------------------------------------------------------------------------------------


def generate(n: int, seed: int, size: int = 4, blanks: int | None = None) -> list[Problem]:
    """Draw ``n`` different held-out puzzles with so many empty cells; the same arguments give the same problems.

    Each has a single solution, which is the recorded answer. Raises ValueError if so many do not exist.
    """
    empty = BLANKS[size] if blanks is None else blanks
    if empty > MOST_BLANKS[size]:
        raise ValueError(f"sudoku: blanks must be at most {MOST_BLANKS[size]} for size {size}, not {empty}")
    rng, problems, missed = random.Random(seed), dict[str, Problem](), 0
    while len(problems) < n:
        solution = random_grid(rng, size)
        puzzle = dug(rng, solution, empty)
        if puzzle is not None and puzzle.key not in problems:
            identity, metadata = f"sudoku-{seed}-{len(problems):04d}", {"puzzle": str(puzzle), "level": empty}
            problems[puzzle.key] = Problem(identity, question(puzzle), str(solution), metadata)
            missed = 0
        elif (missed := missed + 1) == DRAWS:
            raise ValueError(f"there are not {n} different puzzles of size {size} with {empty} empty cells")
    return list(problems.values())


def question(puzzle: Grid) -> str:
    """The problem text: the rules, and the grid with 0 for an empty cell."""
    rows = "\n".join(" ".join(map(str, row)) for row in puzzle.rows)
    return (
        f"Complete this Sudoku: each row, each column and each {puzzle.box} x {puzzle.box} box must have each of the "
        f"digits 1 to {puzzle.size} exactly once. 0 is an empty cell.\n\n{rows}"
    )


def random_grid(rng: random.Random, size: int) -> Grid:
    """A completed grid."""
    return next(solutions(Grid(size, (0,) * size**2), rng))


def dug(rng: random.Random, solution: Grid, blanks: int) -> Grid | None:
    """A held-out puzzle with so many empty cells and this single solution; None if this order of digging finds none.

    Whether a puzzle is held out is only known when it is finished, so it is the last cell that is chosen for it.
    """
    puzzle, cells = solution, list(range(solution.size**2))
    rng.shuffle(cells)
    for cell in cells:
        emptied = puzzle.filled(cell, 0)
        last = emptied.cells.count(0) == blanks
        if (not last or held_out(emptied.key)) and is_unique(emptied):
            if last:
                return emptied
            puzzle = emptied
    return None


# --- Solver -----------------------------------------------------------------------------------------------------


def is_unique(puzzle: Grid) -> bool:
    """Whether the puzzle has exactly one solution."""
    found = solutions(puzzle)
    return next(found, None) is not None and next(found, None) is None


def solutions(puzzle: Grid, rng: random.Random | None = None) -> Iterator[Grid]:
    """Every completion, by backtracking at the cell with the fewest candidates; in random order with ``rng``."""
    search = _Search(puzzle, rng)
    if search.sound:
        yield from search.completions()


class _Search:
    """A grid that is filled and emptied again; ``used`` has the digits of each row, column and box as bits."""

    def __init__(self, puzzle: Grid, rng: random.Random | None) -> None:
        self.puzzle, self.rng = puzzle, rng
        self.cells = [0] * puzzle.size**2
        self.units = [puzzle.units(cell) for cell in range(puzzle.size**2)]
        self.used = [[0] * puzzle.size for _ in range(3)]
        self.every = (2 << puzzle.size) - 2
        self.open = {cell for cell, digit in enumerate(puzzle.cells) if not digit}
        given = [(cell, digit) for cell, digit in enumerate(puzzle.cells) if digit]
        self.sound = all(self._put(cell, digit) for cell, digit in given)

    def completions(self) -> Iterator[Grid]:
        if not self.open:
            yield Grid(self.puzzle.size, tuple(self.cells))
            return
        cell = self._narrowest()
        self.open.remove(cell)
        for digit in self._in_order(self._candidates(cell)):
            self._put(cell, digit)
            yield from self.completions()
            self._take(cell)
        self.open.add(cell)

    def _put(self, cell: int, digit: int) -> bool:
        """Fill a cell; whether the digit was a candidate."""
        free = bool(self._candidates(cell) >> digit & 1)
        self.cells[cell] = digit
        for used, unit in zip(self.used, self.units[cell], strict=True):
            used[unit] |= 1 << digit
        return free

    def _take(self, cell: int) -> None:
        """Empty a cell that had a candidate in it."""
        for used, unit in zip(self.used, self.units[cell], strict=True):
            used[unit] &= ~(1 << self.cells[cell])
        self.cells[cell] = 0

    def _candidates(self, cell: int) -> int:
        row, column, box = self.units[cell]
        return self.every & ~(self.used[0][row] | self.used[1][column] | self.used[2][box])

    def _narrowest(self) -> int:
        """The empty cell with the fewest candidates, the first of several."""
        return min(self.open, key=lambda cell: (self._candidates(cell).bit_count(), cell))

    def _in_order(self, candidates: int) -> list[int]:
        digits = [digit for digit in range(1, self.puzzle.size + 1) if candidates >> digit & 1]
        if self.rng is not None:
            self.rng.shuffle(digits)
        return digits


# --- Reading ----------------------------------------------------------------------------------------------------


def grid_of(digits: Sequence[int]) -> Grid | None:
    """The grid of these digits, row by row; None if they are not those of a completed one in number and range."""
    size = isqrt(len(digits))
    fits = size in SIZES and size**2 == len(digits) and all(1 <= digit <= size for digit in digits)
    return Grid(size, tuple(digits)) if fits else None


def puzzle_of(text: str) -> Grid | None:
    """The grid that a problem's metadata spells; None if it spells none."""
    rows = text.split("/")
    plain = len(rows) in SIZES and all(len(row) == len(rows) and row.isascii() and row.isdecimal() for row in rows)
    return Grid(len(rows), tuple(map(int, "".join(rows)))) if plain else None
