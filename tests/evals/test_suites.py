"""Suites by name and from files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.evals.suites import hub
from widthwise.evals.suites.benchmark import BOXED
from widthwise.evals.suites.suite import Suite, digest
from widthwise.evals.suites.suites import grader_for, list_suites, load_suite

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(*rows: Any, name: str = "data.jsonl") -> Path:
        path = tmp_path / name
        path.write_text(
            "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8"
        )
        return path

    return to_file


ROW = {"id": "a", "problem": "1+1?", "answer": "2"}


@pytest.mark.parametrize("name", ["arithmetic", "countdown", "quantities"])
async def test_bundled_suites(name: str) -> None:
    suite = load_suite(name)
    assert (suite.name, len(suite.problems), suite.instruction) == (name, 200, "")
    assert len(suite.digest) == 64
    assert suite.digest == load_suite(name).digest != load_suite(name, limit=10).digest
    for problem in suite.problems:
        assert problem.answer is not None
        assert await suite.grader.correct(problem, problem.answer)


def test_generated_suites() -> None:
    suite = load_suite("countdown(numbers=4, seed=7, n=20)")
    assert len(suite.problems) == 20
    assert suite.digest == load_suite("countdown(n=20, seed=7, numbers=4)").digest
    assert suite.digest != load_suite("countdown(numbers=4, seed=8, n=20)").digest
    assert {p.metadata["level"] for p in load_suite("arithmetic(level=3, n=5)").problems} == {3}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("aime-2025", "did you mean 'aime2025'"),
        ("nothing like it", "unknown suite 'nothing like it'. Valid names: aime, aime2024"),
        ("math500(n=3)", "its arguments are levels"),
        ("countdown(size=3)", "its arguments are n, seed, numbers"),
        ("countdown(n=0)", "from 1 to 10000"),
        ("countdown(n=True)", "whole number"),
        ("countdown(n=2", "cannot read"),
        ("countdown(n=__import__('os').getpid())", "cannot read"),
        ("countdown(3)", "cannot read"),
        ("countdown(" + "(" * 5_000, "cannot read"),
        (None, "--data FILE"),
    ],
)
def test_bad_names(spec: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        load_suite(spec)
    assert "\n" not in str(error.value)


def test_a_file_of_problems(write: Write) -> None:
    suite = load_suite(None, write(ROW, "", {"question": "2+2?", "final_answer": 4, "unique_id": "b", "level": 1}))
    assert [(p.id, p.text, p.answer) for p in suite.problems] == [("a", "1+1?", "2"), ("b", "2+2?", "4")]
    assert suite.problems[1].metadata == {"level": 1}
    assert (suite.name, suite.grader, suite.source) == ("data", hub.INTEGER, "file: data.jsonl")
    assert suite.instruction == BOXED
    assert load_suite(str(write(ROW))).problems == suite.problems[:1], "a path does as a name"


@pytest.mark.parametrize(
    ("row", "answer", "metadata"),
    [
        ({"answer": "so it is\n#### 1,080"}, "1080", {}),
        ({"solution": r"thus \boxed{\frac12}"}, r"\frac12", {}),
        ({"final_answer": ["1", "2"]}, "1, 2", {"multiple": True}),
        ({"final_answer": ["7"]}, "7", {}),
        ({"answer": 7}, "7", {}),
        ({"numbers": [1, 2], "target": 3}, None, {"numbers": [1, 2], "target": 3}),
    ],
)
def test_answers_of_many_kinds(write: Write, row: dict[str, Any], answer: str | None, metadata: dict[str, Any]) -> None:
    (problem,) = load_suite(None, write({"problem": "?", **row})).problems
    assert (problem.id, problem.answer, dict(problem.metadata)) == ("data-0001", answer, metadata)


def test_graders_told_from_problems(write: Write) -> None:
    assert load_suite(None, write({**ROW, "answer": r"\frac12"})).grader == hub.MATH
    assert load_suite(None, write({**ROW, "numbers": [1, 1]})).grader == hub.COUNTDOWN
    assert load_suite(None, write({**ROW, "id": "gsm8k-test-1"})).grader == hub.WORD_PROBLEM
    named = load_suite("minerva", write(ROW), limit=1)
    assert (named.name, named.grader) == ("minerva", hub.SCIENCE)
    assert grader_for(named.problems, "countdown(n=3)") == hub.COUNTDOWN
    assert grader_for(named.problems, "my file") == grader_for(named.problems) == hub.INTEGER


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((ROW, "{not json"), "data.jsonl, line 2: not valid JSON"),
        ((ROW, "[1]"), "line 2: a JSON object is expected, not list"),
        ((ROW, {"id": "b", "answer": "1"}), "line 2: the field 'problem' is missing"),
        ((ROW, {"id": "b", "problem": " ", "answer": "1"}), "line 2: the field 'problem' is missing"),
        ((ROW, {"id": "b", "problem": "?"}), "line 2: the field 'answer' is missing"),
        ((ROW, "", ROW), "line 3: the id 'a' already occurs in line 1"),
        ((), "is empty"),
        (("", ""), "is empty"),
        (({"problem_id": "a", "samples": []},), 'line 1: .*"problem"'),
    ],
)
def test_bad_files(write: Write, rows: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        load_suite(None, write(*rows))
    assert "\n" not in str(error.value)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        load_suite(None, tmp_path / "missing.jsonl")
    with pytest.raises(UsageError, match="is a folder"):
        load_suite(None, tmp_path)
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        load_suite(None, tmp_path / "binary.jsonl")
    with pytest.raises(UsageError, match="at least 1"):
        load_suite("arithmetic", limit=0)


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([ROW, {**ROW, "id": "b"}]), path)
    assert [p.id for p in load_suite(None, path).problems] == ["a", "b"]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UsageError, match="not a readable Parquet file"):
        load_suite(None, path)
    path.write_bytes(b"")
    with pytest.raises(UsageError, match="not a readable Parquet file"):
        load_suite(None, path)


def test_recordings_are_suites(write: Write) -> None:
    row = {"problem_id": "a", "problem": "1+1?", "answer": "2", "samples": [{"text": "2"}], "model": "m"}
    suite = load_suite(None, write(row, {**row, "model": "n"}, {**row, "problem_id": "b"}))
    assert [p.id for p in suite.problems] == ["a", "b"], "rows of one problem are one problem"


def test_the_hub_is_asked_and_its_failure_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    rows = [{"problem_idx": 1, "problem": "?", "answer": 70}, {"problem_idx": 2, "problem": "??", "answer": 588}]

    def load_dataset(path: str, config: str | None, split: str) -> list[dict[str, Any]]:
        asked.append((path, config, split))
        return rows

    monkeypatch.setattr(hub, "hub_answers", lambda: True)
    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    suite = load_suite("aime2025")
    assert asked == [("MathArena/aime_2025", None, "train")]
    assert [(p.id, p.answer) for p in suite.problems] == [("aime2025-1", "70"), ("aime2025-2", "588")]
    rows[:] = [{"question": "?", "final_answer": ["1", "2"], "is_multiple_answer": True, "error": "1e-1", "id": 3}]
    (problem,) = load_suite("olympiadbench").problems
    assert (problem.id, problem.answer) == ("olympiadbench-3", "1, 2")
    assert dict(problem.metadata) == {"multiple": True, "tolerance": "1e-1"}
    rows[:] = [{"other": 1}]
    with pytest.raises(UsageError, match="HuggingFaceH4/MATH-500, line 1: the field 'problem'"):
        load_suite("math500")
    rows.clear()
    with pytest.raises(UsageError, match="is empty"):
        load_suite("gsm8k")

    def no_network(*_: Any, **__: Any) -> None:
        raise ConnectionError("name or service not known\nmore")

    monkeypatch.setattr("datasets.load_dataset", no_network)
    with pytest.raises(UsageError, match=r"name or service not known.*--data FILE") as error:
        load_suite("aime2026")
    assert "\n" not in str(error.value)


def test_the_list_of_suites() -> None:
    infos = {info.name: info for info in list_suites()}
    assert {"arithmetic", "countdown", "quantities", "sudoku", "aime2024", "aime2025", "aime2026", "hmmt2025",
            "amc2023", "math500", "gsm8k", "olympiadbench", "minerva", "aime", "gpqa", "mmlu_pro", "humaneval_plus",
            "mbpp_plus", "gym", "recorded_gsm8k", "recorded_math"} == set(infos)  # fmt: skip
    assert infos["gsm8k"].source == "hub: openai/gsm8k (main)"
    assert all(info.size and info.licence for info in infos.values() if info.name != "gym")
    assert all(info.description for info in infos.values())


def test_the_digest_is_of_the_content() -> None:
    problem = Problem("a", "?", "1", {"x": 1, "y": 2})
    assert digest([problem]) == digest([Problem("a", "?", "1", {"y": 2, "x": 1})])
    for other in (
        Problem("b", "?", "1", {"x": 1, "y": 2}),
        Problem("a", "?", "1"),
        Problem("a", "?", None, {"x": 1, "y": 2}),
    ):
        assert digest([problem]) != digest([other])
    with pytest.raises(ValueError, match="no problems"):
        Suite("empty", (), hub.MATH, "nowhere")


@pytest.mark.parametrize(
    ("file", "name", "size"),
    [("aime2024", "aime2024", 30), ("aime2025", "aime2025", 30), ("aime2026", "aime2026", 30),
     ("amc2023", "amc2023", 40), ("hmmt2025_feb", "hmmt2025", 30), ("math500", "math500", 500),
     ("gsm8k_test", "gsm8k", 1319), ("olympiadbench_maths_en", "olympiadbench", 675), ("minerva_math", "minerva", 272)],
)  # fmt: skip
async def test_local_copies_of_the_benchmarks(shared_data: Path, file: str, name: str, size: int) -> None:
    """Every suite loads, and each reference answer, boxed, is read back and judged right."""
    suite = load_suite(name, shared_data / "benchmarks" / f"{file}.jsonl")
    assert len(suite.problems) == size
    wrong = [p.id for p in suite.problems if not await _right_when_boxed(suite, p)]
    assert wrong == []


async def _right_when_boxed(suite: Suite, problem: Problem) -> bool:
    answer = suite.grader.extract(f"It is $\\boxed{{{problem.answer}}}$.")
    return answer is not None and await suite.grader.correct(problem, answer)


async def test_every_problem_of_a_mixed_file_is_graded_by_its_own_task(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "problem": "Make 24 of 4, 6.", "numbers": [4, 6], "target": 24},
        {"id": "b", "problem": "Make 24 of 3, 8.", "numbers": [3, 8], "answer": "24"},
        {"id": "c", "problem": "What is 1/2 + 1/2?", "answer": "1"},
        {"id": "gsm8k-7", "problem": "How many clips?", "answer": "72"},
    ]
    path = tmp_path / "mixed.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for suite in (load_suite(None, path), load_suite("math500", path)):
        countdown, other, sums, clips = suite.problems
        assert await suite.grader.correct(countdown, "4 * 6")
        assert not await suite.grader.correct(countdown, "24")
        assert not await suite.grader.correct(other, "24")
        assert await suite.grader.correct(sums, "2/2")
        assert suite.grader.for_problem(countdown).extract("Answer: 4 * 6 = 24") == "4 * 6 = 24"
        assert suite.grader.for_problem(clips).extract("She sold\n#### 72 clips") == "72"
        assert not await suite.grader.valid(countdown, "24")
    assert set(load_suite(None, path).grader.settings) == {"countdown", "integer", "word_problem"}
    assert load_suite(None, path, limit=1).grader.name == "mixed"


@pytest.mark.parametrize("tolerance", ["inf", "-1", "nan", "a little"])
def test_a_tolerance_that_is_no_finite_number_is_refused(tmp_path: Path, tolerance: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"problem": "What is pi?", "answer": "3.14", "tolerance": tolerance}))
    with pytest.raises(UsageError, match=r"x\.jsonl, line 1: .*tolerance is a finite number of at least 0, not"):
        load_suite(None, path)
