"""Files in every format, and columns under every usual name."""

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from widthwise.cli.app import app
from widthwise.core.errors import UsageError
from widthwise.evals.suites.columns import COLUMNS, column
from widthwise.evals.suites.rows import read_rows
from widthwise.evals.suites.suites import load_suite

ROWS = [
    {"id": "a", "question": "What is 1+1?", "target": "2", "topic": "sums"},
    {"id": "b", "question": 'Say "x,\ny"', "target": "3", "topic": "lines"},
]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_csv_file_of_a_european_excel_has_semicolons(tmp_path: Path, mark: str) -> None:
    file = tmp_path / "data.csv"
    file.write_text(f'{mark}"question, in words";problem;answer\r\n"a, b";"1 + 1; no more";"2,5"\r\n', encoding="utf-8")
    assert list(read_rows(file)) == [(2, {"question, in words": "a, b", "problem": "1 + 1; no more", "answer": "2,5"})]
    file.write_text('problem,"answer; in words"\n1 + 1,2\n', encoding="utf-8")
    assert list(read_rows(file)) == [(2, {"problem": "1 + 1", "answer; in words": "2"})]
    file.write_bytes(b"problem;answer \xe4\n1;2\n")
    with pytest.raises(UsageError, match="line 1: not valid CSV in UTF-8"):
        list(read_rows(file))


def _delimited(path: Path, delimiter: str) -> None:
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(ROWS[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(ROWS)


WRITERS: Mapping[str, Callable[[Path], object]] = {
    "data.jsonl": lambda path: path.write_text("\n".join(map(json.dumps, ROWS))),
    "lines.json": lambda path: path.write_text("\n".join(map(json.dumps, ROWS))),
    "list.json": lambda path: path.write_text(json.dumps(ROWS, indent=2)),
    "list.jsonl": lambda path: path.write_text(f"\ufeff\n {json.dumps(ROWS)}", encoding="utf-8"),
    "data.csv": lambda path: _delimited(path, ","),
    "DATA.TSV": lambda path: _delimited(path, "\t"),
    "data.parquet": lambda path: pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_form_of_file_gives_the_same_problems(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    problems = load_suite(None, tmp_path / name).problems
    assert [(p.id, p.text, p.answer, dict(p.metadata)) for p in problems] == [
        ("a", "What is 1+1?", "2", {"topic": "sums"}),
        ("b", 'Say "x,\ny"', "3", {"topic": "lines"}),
    ]


@pytest.fixture
def problem_of(tmp_path: Path) -> Callable[..., Any]:
    def read(row: Mapping[str, Any], **columns: str) -> Any:
        (tmp_path / "data.json").write_text(json.dumps([row]))
        return load_suite(None, tmp_path / "data.json", columns=columns).problems[0]

    return read


@pytest.mark.parametrize("question", COLUMNS["problem"])
@pytest.mark.parametrize("answer", COLUMNS["answer"])
def test_the_usual_names(problem_of: Callable[..., Any], question: str, answer: str) -> None:
    for spell in (str, str.title, str.upper, lambda name: name.title().replace("_", " ")):
        problem = problem_of({spell(question): "1+1?", spell(answer): 2, "level": 1})
        assert (problem.text, problem.answer, dict(problem.metadata)) == ("1+1?", "2", {"level": 1})


@pytest.mark.parametrize(
    ("solution", "answer"),
    [(r"so \boxed{7}", "7"), ("it follows\n#### 8", "8"), ("9", "9"), (r"\frac{1}{2}", r"\frac{1}{2}")],
)
def test_an_answer_is_read_out_of_a_solution(problem_of: Callable[..., Any], solution: str, answer: str) -> None:
    assert problem_of({"problem": "?", "solution": solution}).answer == answer
    assert problem_of({"problem": "?", "solution": solution, "answer": "5"}).answer == "5"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "a", "prompt": "Q: a", "answer": 1}, "columns 'question' and 'prompt' could both be the problem"),
        ({"instruction": "add", "input": "1 1", "answer": 1}, "--column problem=input"),
        ({"question": "a", "answer": "what a model said", "Gold": 2}, "'answer' and 'Gold' could both be the answer"),
        (
            {"question": "a", "output": "7", "label": 3},
            "are question, output, label; eval --column answer=NAME",
        ),
        ({"text": "a", "answer": 1}, "read from the columns problem, question, prompt"),
        ({"question": "a", "answers": {"text": ["1"]}}, "'answers' must hold a text, a number or a list"),
        (
            {"question": "a", "choices": ["1", "0"], "answer": 1},
            "place of an option, from 0, and also the text of another",
        ),
    ],
)
def test_what_is_not_clear_is_asked(problem_of: Callable[..., Any], row: Mapping[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        problem_of(row)
    assert "\n" not in str(error.value)


def test_a_column_can_be_chosen(problem_of: Callable[..., Any]) -> None:
    row = {"question": "a", "prompt": "Q: a", "answer": "said", "gold": 2, "output": "6"}
    problem = problem_of(row, problem="question", answer="gold")
    assert (problem.text, problem.answer, dict(problem.metadata)) == ("a", "2", {"output": "6"})
    assert problem_of(row, problem="prompt", answer="output").answer == "6"
    with pytest.raises(UsageError, match="line 1: there is no column 'golden'; the columns are question, prompt"):
        problem_of(row, answer="golden")
    with pytest.raises(UsageError, match="can be chosen for id, problem, answer, solution, not for 'reply'"):
        problem_of(row, reply="output")
    with pytest.raises(UsageError, match="--data FILE"):
        load_suite("arithmetic", columns={"answer": "gold"})


def test_columns_that_agree_or_are_empty_are_no_question(problem_of: Callable[..., Any]) -> None:
    problem = problem_of({"question": "a", "input": "", "prompt": "a ", "target": 1, "gold": "1", "reference": None})
    assert (problem.text, problem.answer) == ("a", "1")
    assert column({"question": "a", "answer": float("nan"), "gold": 3}, "answer") == 3


def test_the_target_of_a_countdown_is_part_of_what_is_asked(problem_of: Callable[..., Any]) -> None:
    problem = problem_of({"question": "reach 3", "numbers": [1, 2], "target": 3})
    assert (problem.answer, dict(problem.metadata)) == (None, {"numbers": [1, 2], "target": 3})


def test_choices_of_mmlu(problem_of: Callable[..., Any]) -> None:
    problem = problem_of({"question": "Which?", "choices": ["red", "blue"], "answer": 1})
    assert (problem.answer, problem.metadata["options"]) == ("B", ["red", "blue"])


def test_the_command_line_chooses_columns(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("question,output\nCompute 1 + 1.,2\n")
    arguments = ["eval", "--data", str(tmp_path / "data.csv"), "--strategy", "single()", "--json"]
    refused = CliRunner().invoke(app, [*arguments, "--run", str(tmp_path / "no.db")])
    assert refused.exit_code == 2
    assert "--column answer=NAME" in refused.stderr
    done = CliRunner().invoke(app, [*arguments, "--run", str(tmp_path / "a.db"), "--column", "answer=output"])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["problems"] == 1


def test_the_document_names_every_column() -> None:
    page = (Path(__file__).parents[2] / "docs" / "suites.md").read_text(encoding="utf-8")
    for names in COLUMNS.values():
        assert ", ".join(f"`{name}`" for name in names) in page
