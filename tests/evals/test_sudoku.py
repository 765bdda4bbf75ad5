"""Sudoku: puzzles with a single solution, the checker, and what counts as a written grid."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import permutations, product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import widthwise as ww
from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.evals.grading.sudoku import SudokuGrader, read_grid
from widthwise.evals.suites import sudoku
from widthwise.evals.suites.holdout import SHARE, held_out
from widthwise.evals.suites.sudoku import Grid, generate, grid_of, is_unique, puzzle_of, random_grid, solutions
from widthwise.evals.suites.suites import load_suite

PUZZLE = "530070000/600195000/098000060/800060003/400803001/700020006/060000280/000419005/000080079"
SOLUTION = "534678912/672195348/198342567/859761423/426853791/713924856/961537284/287419635/345286179"
"""A puzzle that is widely printed, and its solution."""
SMALL = "1342/4231/3124/2413"
GRADER = SudokuGrader()


def given_grid(text: str) -> Grid:
    found = puzzle_of(text)
    assert found is not None
    return found


def completions(puzzle: str) -> Iterator[str]:
    """All completions of a small puzzle, independently: every choice of four rows that the rules allow."""
    rows = ["".join(row) for row in permutations("1234")]
    fitting = [[r for r in rows if all(g in ("0", d) for g, d in zip(p, r, strict=True))] for p in puzzle.split("/")]
    for grid in product(*fitting):
        columns = all(len(set(column)) == 4 for column in zip(*grid, strict=True))
        boxes = all(len({grid[r + i][c + j] for i in (0, 1) for j in (0, 1)}) == 4 for r in (0, 2) for c in (0, 2))
        if columns and boxes:
            yield "/".join(grid)


# -- puzzles ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blanks", [1, 4, 8, 11])
def test_small_puzzles_have_one_solution_and_are_held_out(blanks: int) -> None:
    problems = generate(6, 3, 4, blanks)
    for problem in problems:
        puzzle = problem.metadata["puzzle"]
        assert puzzle.count("0") == blanks == problem.metadata["level"]
        assert list(completions(puzzle)) == [problem.answer]
        assert held_out(given_grid(puzzle).key)
    assert len({given_grid(p.metadata["puzzle"]).key for p in problems}) == 6
    assert problems == generate(6, 3, 4, blanks)
    assert problems != generate(6, 4, 4, blanks)


def test_large_puzzles_have_one_solution() -> None:
    for problem in generate(2, 1, 9, 45):
        puzzle = given_grid(problem.metadata["puzzle"])
        assert puzzle.cells.count(0) == 45
        assert [str(grid) for grid in solutions(puzzle)] == [problem.answer]
        assert held_out(puzzle.key)


def test_the_solver_finds_all_completions() -> None:
    assert [str(grid) for grid in solutions(given_grid(PUZZLE))] == [SOLUTION]
    assert is_unique(given_grid(PUZZLE))
    assert len(list(solutions(Grid(4, (0,) * 16)))) == 288  # the number of grids of this size
    for puzzle in ("1000/0000/0000/0004", "1200/0000/0000/0021", "0000/0340/0000/0000"):
        assert sorted(str(grid) for grid in solutions(given_grid(puzzle))) == sorted(completions(puzzle))
    assert not list(solutions(given_grid("1100/0000/0000/0000")))
    assert not is_unique(Grid(4, (0,) * 16))


def test_what_is_held_out_does_not_depend_on_the_names_of_the_digits() -> None:
    rng = random.Random(0)
    for size in (4, 9):
        puzzle = random_grid(rng, size)
        names = [0, *rng.sample(range(1, size + 1), size)]
        assert Grid(size, tuple(names[digit] for digit in puzzle.cells)).key == puzzle.key
        assert puzzle.filled(0, 0).key != puzzle.key
    shares = Counter(held_out(random_grid(rng, 9).key) for _ in range(400))
    assert 0.4 < shares[True] * SHARE / 400 < 2


def test_the_suite_from_the_command_lines_text() -> None:
    assert load_suite("sudoku").grader == GRADER
    assert "<answer>" in load_suite("sudoku").instruction
    assert {len(p.metadata["puzzle"]) for p in load_suite("sudoku(size=9, n=2, blanks=20)").problems} == {89}
    for wrong, said in (
        ("sudoku(size=6)", "one of 4, 9"),
        ("sudoku(blanks=12)", "at most 11 for size 4"),
        ("sudoku(size=9, blanks=51)", "from 1 to 50"),
        ("sudoku(blanks=1, n=10000)", "there are not 10000 different"),
    ):
        with pytest.raises(UsageError, match=said):
            load_suite(wrong)


# -- grades ----------------------------------------------------------------------------------------------------


def test_every_wrong_cell_is_wrong() -> None:
    puzzle, solution = given_grid(PUZZLE), given_grid(SOLUTION)
    assert solution.completes(puzzle)
    for cell, digit in product(range(81), range(10)):
        assert solution.filled(cell, digit).completes(puzzle) == (digit == solution.cells[cell])
    assert not given_grid(SMALL).completes(puzzle)


@given(st.permutations(range(4)), st.permutations(range(4)))
def test_a_grid_is_complete_if_the_rules_say_so(rows: list[int], columns: list[int]) -> None:
    """Rows and columns of a right grid in another order: right only if the boxes are, too."""
    cells = given_grid(SMALL).cells
    moved = Grid(4, tuple(cells[4 * row + column] for row in rows for column in columns))
    assert moved.complete == (str(moved) in list(completions(str(moved))))


ROWS = ["1342", "4231", "3124", "2413"]
SPACED = [" ".join(row) for row in ROWS]
WRITTEN = {
    "rows": "\n".join(ROWS),
    "spaced rows": "\n".join(SPACED),
    "commas": "\n".join(", ".join(row) for row in ROWS),
    "lists": "[[1, 3, 4, 2],\n [4, 2, 3, 1],\n [3, 1, 2, 4],\n [2, 4, 1, 3]]",
    "lists in one line": "[[1,3,4,2],[4,2,3,1],[3,1,2,4],[2,4,1,3]]",
    "rules": "+-----+-----+\n| 1 3 | 4 2 |\n| 4 2 | 3 1 |\n+-----+-----+\n| 3 1 | 2 4 |\n| 2 4 | 1 3 |\n+-----+-----+",
    "drawn": "┌─────┬─────┐\n│ 1 3 │ 4 2 │\n│ 4 2 │ 3 1 │\n├─────┼─────┤\n│ 3 1 │ 2 4 │\n│ 2 4 │ 1 3 │\n└─────┴─────┘",
    "table": "| 1 | 3 | 4 | 2 |\n|---|---|---|---|\n| 4 | 2 | 3 | 1 |\n| 3 | 1 | 2 | 4 |\n| 2 | 4 | 1 | 3 |",
    "code": "```text\n1 3 4 2\n4 2 3 1\n3 1 2 4\n2 4 1 3\n```",
    "one line": "1342423131242413",
    "slashes": "1 3 4 2 / 4 2 3 1 / 3 1 2 4 / 2 4 1 3",
    "named rows": "Row 1: 1 3 4 2\nRow 2: 4 2 3 1\nRow 3: 3 1 2 4\nRow 4: 2 4 1 3",
    "bold": "**1 3 4 2**\n**4 2 3 1**\n**3 1 2 4**\n**2 4 1 3**",
}
LATEX = (
    r"\begin{array}{|cc|cc|} \hline 1 & 3 & 4 & 2 \\ 4 & 2 & 3 & 1 \\ \hline "
    r"3 & 1 & 2 & 4 \\ 2 & 4 & 1 & 3 \\ \hline \end{array}"
)


@pytest.mark.parametrize("form", WRITTEN)
@pytest.mark.parametrize(
    "around",
    ["{}", "So we have\n\n{}\n", "I began with 1 0 0 2.\n<answer>\n{}\n</answer>", "Answer:\n{}\nThat is all."],
)
def test_usual_forms_are_read(form: str, around: str) -> None:
    assert GRADER.extract(around.format(WRITTEN[form])) == SMALL


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (rf"\boxed{{{LATEX}}}", SMALL),
        (r"\boxed{\begin{pmatrix} 1&3&4&2\\4&2&3&1\\3&1&2&4\\2&4&1&3 \end{pmatrix}}", SMALL),
        ("\n".join(SPACED) + "\nNo, better:\n" + "\n".join(SPACED[::-1]), "/".join(ROWS[::-1])),  # the last grid
        ("\n".join(SPACED) + "\n<answer>" + "\n".join(SPACED[::-1]) + "</answer>", "/".join(ROWS[::-1])),
        ("<answer>" + "\n".join(SPACED) + "</answer>\nThe first row is 1 3 4 2.", SMALL),
        (SOLUTION.replace("/", "\n"), SOLUTION),
        ("<think>\n" + "\n".join(SPACED[::-1]) + "\n</think>\n" + "\n".join(SPACED), SMALL),
        ("1 3 4 2\n4 2 3 1\n3 1 2 4", None),  # three rows
        ("1 3 4 2\n4 2 3 1\nand then\n3 1 2 4\n2 4 1 3", None),
        ("0 3 4 2\n4 2 3 1\n3 1 2 4\n2 4 1 3", None),  # not complete
        ("1 3 4 5\n4 2 3 1\n3 1 2 4\n2 4 1 3", None),  # no digit of this size
        ("\n".join(SPACED) + "\n<answer>I give up</answer>", None),  # the last statement decides
        ("", None),
    ],
)
def test_what_is_read(text: str, read: str | None) -> None:
    assert GRADER.extract(text) == read


def _listed(label: str, rows: list[str] = SPACED) -> str:
    names = ("First", "Second", "Third", "Fourth")
    return "\n".join(label.format(i=i + 1, name=names[i], row=row) for i, row in enumerate(rows))


def _table(head: str, label: str) -> str:
    return f"{head}\n|---|---|---|---|---|\n" + _listed(label, [" | ".join(row) for row in ROWS])


LABELLED = {
    "numbered": _listed("{i}. {row}"),
    "numbered closely": "\n".join(f"{i + 1}) {row}" for i, row in enumerate(ROWS)),
    "row and dash": _listed("Row {i} - {row}"),
    "bold row": _listed("- **Row {i}:** {row}"),
    "ordinals": _listed("{name} row: {row}"),
    "sentences": _listed("The {name} row is {row}."),
    "table of rows": _table("| Row | C1 | C2 | C3 | C4 |", "| Row {i} | {row} |"),
    "table of numbers": _table("|   | 1 | 2 | 3 | 4 |", "| {i} | {row} |"),
    "table of R": _table("| | A | B | C | D |", "| **R{i}** | {row} |"),
    "json": "{\n" + ",\n".join(f'  "row{i + 1}": [{", ".join(row)}]' for i, row in enumerate(ROWS)) + "\n}",
    "json in one line": "{" + ", ".join(f'"row{i + 1}": [{", ".join(row)}]' for i, row in enumerate(ROWS)) + "}",
    "json list": '{"solution": [[1,3,4,2],[4,2,3,1],[3,1,2,4],[2,4,1,3]]}',
    "sentence with lists": "So the solution is [[1, 3, 4, 2], [4, 2, 3, 1], [3, 1, 2, 4], [2, 4, 1, 3]].",
    "sentence with lists in lines": "The grid = [[1, 3, 4, 2],\n [4, 2, 3, 1],\n [3, 1, 2, 4],\n [2, 4, 1, 3]]",
    "sentence with words": "The solution is 1342 4231 3124 2413.",
    "header": "| 1 | 2 | 3 | 4 |\n|---|---|---|---|\n" + "\n".join(f"| {' | '.join(row)} |" for row in ROWS),
}
COLUMNS = [" ".join(column) for column in zip(*ROWS, strict=True)]


@pytest.mark.parametrize("form", LABELLED)
@pytest.mark.parametrize("around", ["{}", "Each row, column and box is complete:\n\n{}\n", "<answer>\n{}\n</answer>"])
def test_labels_headers_and_sentences_are_read(form: str, around: str) -> None:
    assert GRADER.extract(around.format(LABELLED[form])) == SMALL


@pytest.mark.parametrize(
    "after",
    [
        "To check, the columns are:\n" + "\n".join(COLUMNS),
        "Columns:\n\n" + _listed("{i}. {row}", COLUMNS),
        "The columns are " + ", ".join(column.replace(" ", "") for column in COLUMNS) + ".",
        _listed("Column {i}: {row}", COLUMNS),
        "Boxes:\n" + "\n".join(SPACED[::-1]),
        "It is not 1342 1342 1342 1342.",
        "Row 1: 4 2 3 1",
        "The first row is 4 2 3 1.",
    ],
    ids=range(8),
)
@pytest.mark.parametrize("form", ["rows", "numbered", "table of numbers"])
def test_what_is_listed_after_the_grid_is_not_the_answer(form: str, after: str) -> None:
    assert GRADER.extract(f"{(WRITTEN | LABELLED)[form]}\n\n{after}") == SMALL


@pytest.mark.parametrize("form", LABELLED)
async def test_a_wrong_grid_is_never_right_for_its_labels(form: str) -> None:
    problem = Problem("p", "Fill it.", None, {"puzzle": "0342/4001/0100/2400"})
    for right, wrong in (
        ("2413", "2431"),
        ("2 4 1 3", "2 4 3 1"),
        ("2, 4, 1, 3", "2, 4, 3, 1"),
        ("2,4,1,3", "2,4,3,1"),
    ):
        for text in (
            LABELLED[form].replace(right, wrong),
            LABELLED[form].replace(" | ".join(ROWS[3]), "2 | 4 | 3 | 1"),
        ):
            answer = GRADER.extract(text)
            assert answer is not None
            assert await GRADER.correct(problem, answer) == (text == LABELLED[form])


@pytest.mark.parametrize(
    "text",
    [
        _listed("Row {i}: {row}").replace("Row 2", "Row 3"),  # labels that do not count up
        "1 1 3 4 2\n1 4 2 3 1\n1 3 1 2 4\n1 2 4 1 3",  # rows of five digits
        "2. 1 3 4 2\n3. 4 2 3 1\n4. 3 1 2 4\n5. 2 4 1 3",
        "Columns:\n" + "\n".join(SPACED),
    ],
)
def test_what_only_looks_like_labels_is_no_grid(text: str) -> None:
    assert GRADER.extract(text) is None


@pytest.mark.parametrize(
    "hostile",
    [
        "1" * 1_000_000,
        "1234\n" * 200_000,
        "<answer>" * 50_000,
        r"\boxed{" * 20_000,
        "|" * 500_000,
        "\0" * 99,
        "①②③④" * 4,
        "١٢٣٤\n" * 4,
        r"\begin{array}{" + "c" * 100_000,
        "```" * 100_000,
        "__import__('os')",
        "1342/" * 1000,
    ],
    ids=range(12),
)
def test_hostile_texts_end_and_are_no_grid(hostile: str) -> None:
    found = GRADER.extract(hostile)
    assert found is None or not given_grid(found).complete
    assert read_grid(hostile) is None


async def test_right_grids_are_one_answer_however_they_are_written() -> None:
    problem = Problem("p", "Fill it.", None, {"puzzle": "0342/4001/0100/2400"})
    wrong = ["1342/4231/3124/2431", "no grid", "nothing"]
    found = await GRADER.partition([*WRITTEN.values(), LATEX, *wrong])
    assert [len(members) for members in found.classes] == [len(WRITTEN) + 1, 1, 1, 1]
    for form in (*WRITTEN.values(), LATEX):
        assert await GRADER.correct(problem, form)
    for form in (*wrong, "4231/1342/3124/2413", SOLUTION):
        assert not await GRADER.correct(problem, form)
    with pytest.raises(UsageError, match="needs a `puzzle`"):
        await GRADER.correct(Problem("q", "Fill it.", SMALL, {"puzzle": "12"}), SMALL)
    assert grid_of([1] * 25) is None


def test_votes_of_a_model_are_counted_by_grid(tmp_path: Path) -> None:
    """Two of five samples state the solution in different forms and outvote three different wrong grids."""
    suite = load_suite("sudoku(n=3, seed=5)")
    solved = {problem.text: str(problem.answer) for problem in suite.problems}

    def reply(messages: list[dict[str, str]], seed: int) -> str:
        answer = next(answer for text, answer in solved.items() if text in messages[-1]["content"])
        rows = answer.split("/")
        said = [answer, "\n".join(" ".join(row) for row in rows), *("/".join(rows[i:] + rows[:i]) for i in (1, 2, 3))]
        return f"<answer>{said[seed % 5]}</answer>"

    counted = iter(range(1000))
    model = ww.FunctionBackend(lambda messages: reply(messages, next(counted)))
    run = ww.evaluate("best_of_n(n=5) | majority_vote()", "sudoku(n=3, seed=5)", model=model, run=tmp_path / "a.db")
    assert run.summary.accuracy == 1.0
    assert run.summary.mean_accuracy == pytest.approx(0.4)
    checked = ww.evaluate("best_of_n(n=5) | first_valid()", "sudoku(n=3, seed=5)", model=model, run=tmp_path / "b.db")
    assert checked.summary.accuracy == 1.0


def test_the_bundled_puzzles_can_be_drawn_again() -> None:
    bundled = load_suite("sudoku").problems
    assert [(p.text, p.answer) for p in bundled] == [(p.text, p.answer) for p in sudoku.generate(200, 2026)]
