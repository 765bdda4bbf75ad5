"""Suites from values: anything that contains problems, under the usual column names."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import widthwise as ww

ROWS = [{"question": "What is 1 + 1?", "answer": 2}, {"question": "What is 2 + 2?", "answer": "4"}]
SAID = [("What is 1 + 1?", "2"), ("What is 2 + 2?", "4")]


def _said(given: Any, **options: Any) -> list[tuple[str, str | None]]:
    return [(problem.text, problem.answer) for problem in ww.suite_of(given, **options).problems]


def test_dicts_columns_problems_and_anything_that_gives_them() -> None:
    assert _said(ROWS) == _said(tuple(ROWS)) == _said(iter(ROWS)) == SAID
    assert _said({"question": [row["question"] for row in ROWS], "answer": [2, 4]}) == SAID
    assert _said([ww.Problem(f"p{i}", *each) for i, each in enumerate(SAID)]) == SAID
    assert _said(ROWS, limit=1) == SAID[:1]


def test_data_frames_and_tables() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    polars = pytest.importorskip("polars", reason="polars is not installed")
    pyarrow = pytest.importorskip("pyarrow")
    rows = [{**row, "answer": str(row["answer"]), "level": None if i else 3} for i, row in enumerate(ROWS)]
    for table in (pandas.DataFrame(rows), polars.DataFrame(rows), pyarrow.Table.from_pylist(rows)):
        suite = ww.suite_of(table)
        assert [(problem.text, problem.answer) for problem in suite.problems] == SAID
        assert [problem.metadata.get("level") for problem in suite.problems] == [3, None]


def test_a_data_set_of_datasets() -> None:
    datasets = pytest.importorskip("datasets")
    split = datasets.Dataset.from_list([{**row, "answer": str(row["answer"])} for row in ROWS])
    assert _said(split) == SAID
    with pytest.raises(ww.UsageError, match="choose one of its splits \\('train'\\)"):
        ww.suite_of(datasets.DatasetDict({"train": split}))


def test_arrays_are_lists_and_nan_is_nothing() -> None:
    numpy = pytest.importorskip("numpy")
    row = {"problem": "Reach 35.", "numbers": numpy.array([3, 7]), "target": numpy.int64(35), "level": math.nan}
    [problem] = ww.suite_of([row]).problems
    assert problem.metadata == {"numbers": [3, 7], "target": 35}


def test_a_file_and_a_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert _said(file) == _said(str(file)) == SAID
    assert ww.suite_of("arithmetic", limit=3).name == "arithmetic"
    assert ww.suite_of(ww.suite_of("arithmetic"), limit=3).problems == ww.suite_of("arithmetic", limit=3).problems


def test_a_suite_may_be_judged_and_asked_as_another_and_be_called_as_one_likes() -> None:
    like = ww.suite_of(ROWS, like="gsm8k", name="mine")
    gsm8k = ww.suite_of([{**ROWS[0], "answer": "some steps\n#### 2"}], like="gsm8k")
    assert like.grader == gsm8k.grader
    assert [problem.answer for problem in gsm8k.problems] == ["2"]
    assert ww.suite_of(ROWS, name="mine").name == "mine"
    assert _said([{"question": "1 + 1?", "label": "2", "answer": "3"}], columns={"answer": "label"}) == [
        ("1 + 1?", "2")
    ]


def test_conversations_are_problems() -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    asked = {"messages": [*turns, {"role": "user", "content": "What is 1 + 1?"}], "answer": "2", "level": 1}
    [problem] = ww.suite_of([asked]).problems
    assert (problem.text, problem.answer, list(problem.earlier)) == ("What is 1 + 1?", "2", turns)
    assert problem.metadata["level"] == 1
    assert "Assistant: Hello" in problem.told
    # If there is also a text, the text is the problem.
    assert _said([{**asked, "question": "What is 2 + 2?", "answer": "4"}]) == SAID[1:]


def test_a_run_of_values_is_kept_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    rows = [*ROWS, {"messages": [*turns, {"role": "user", "content": "What is 3 + 3?"}], "answer": 6}]
    run = ww.evaluate("single()", rows, max_tokens=20)
    assert ww.evaluate("single()", rows, max_tokens=20).path == run.path
    [_, _, last] = ww.Run.read(run.path).outcomes
    assert list(last.problem.earlier) == turns
    assert "Hello" in run.traces(last.problem)[0].path[0].text
    assert ww.suite_of(run.path).problems[2].earlier == last.problem.earlier
    assert {trace.answer for trace in run.traces(last.problem)} == {leaf.answer for leaf in last.leaves}
    swept = ww.sweep(["single()"], [rows, ww.suite_of(rows[:1], name="one")], [1], max_tokens=20)
    assert {curve.suite for curve in swept.curves} == {"problems", "one"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "^no problems are given: a suite needs at least one problem$"),
        (3, "a suite is a suite's name, .* found 3 \\(int\\)"),
        (["What is 1 + 1?"], "problem 1 is 'What is 1 \\+ 1\\?' \\(str\\): it must be a dict"),
        ([ROWS[0], 7], "problem 2 is 7"),
        ([{"question": "1 + 1?"}], "the field 'answer' is missing"),
        ({"question": ["a", "b"], "answer": ["1"]}, "of several lengths \\(question: 2, answer: 1\\)"),
        ({"question": "a", "answer": "1"}, "is a single problem: put it into a list"),
        ({"messages": [{"role": "user", "content": "a"}], "answer": 1}, "is a single problem: put it into a list"),
        ([ww.Problem("p", "a", "1"), ww.Problem("p", "b", "2")], "two problems have the id 'p'"),
        ([{"messages": [{"role": "assistant", "content": "2"}], "answer": "2"}], "ends with a message of the user"),
        ("arithmetc", "did you mean 'arithmetic'"),
    ],
)
def test_what_holds_no_problems_is_one_sentence(given: Any, words: str) -> None:
    with pytest.raises(ww.UsageError, match=words) as caught:
        ww.suite_of(given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["rows", "problems", "iterator", "pandas", "polars", "pyarrow", "datasets"])
def test_a_sweep_of_the_problems_of_one_suite_says_to_list_them(kind: str) -> None:
    def table(of: str) -> Any:
        module = pytest.importorskip(of)
        rows = [{**row, "answer": str(row["answer"])} for row in ROWS]
        return {
            "pandas": lambda: module.DataFrame(rows),
            "polars": lambda: module.DataFrame(rows),
            "pyarrow": lambda: module.Table.from_pylist(rows),
            "datasets": lambda: module.Dataset.from_list(rows),
        }[of]()

    plain = {"rows": ROWS, "problems": list(ww.suite_of(ROWS).problems), "iterator": iter(ROWS)}
    given = plain[kind] if kind in plain else table(kind)
    with pytest.raises(ww.UsageError, match=r"put them into a list, \[problems\]"):
        ww.sweep(["single()"], given, [1], model=lambda prompt: "2")


def test_the_suites_of_a_sweep_may_be_any_iterable(tmp_path: Path) -> None:
    columns = {"question": [row["question"] for row in ROWS], "answer": [2, 4]}
    for suites in ([ROWS], iter([ROWS]), [columns]):
        swept = ww.sweep(["single()"], suites, [1], model=lambda prompt: "2", folder=tmp_path)  # type: ignore[arg-type]
        assert len(swept.runs) == 1
