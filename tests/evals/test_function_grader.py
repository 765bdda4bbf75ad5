"""Graders from functions, and partly right answers: what they count wherever right answers are counted."""

from __future__ import annotations

import json
import math
import sqlite3
import sys
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import widthwise as ww
from widthwise.cli.app import app
from widthwise.evals.measure.estimators import pass_at_k
from widthwise.evals.measure.wilson import wilson

ROWS = [{"question": f"What is {n} + 0?", "answer": n} for n in range(4)]
STRATEGY = "best_of_n(n=2) | majority_vote()"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def answer(prompt: str, params: ww.SamplingParams, seed: int) -> ww.Reply:
    number = prompt.split()[2]
    return ww.Reply(f"It is {number}, so \\boxed{{{number}}}", thinking="not to be graded")


def half(problem: ww.Problem, text: str) -> float:
    """Right, half right, a quarter right, or wrong, by the problem's number."""
    assert text == f"It is {problem.answer}, so \\boxed{{{problem.answer}}}"
    return {"0": 1.0, "1": 0.5, "2": 0.25}.get(str(problem.answer), 0.0)


def test_a_function_grades_what_a_trace_says_and_answers_vote_as_they_did() -> None:
    run = ww.evaluate(STRATEGY, ROWS, model=answer, grader=half)
    assert [outcome.correct for outcome in run.outcomes] == [True, 0.5, 0.25, False]
    assert [outcome.answer for outcome in run.outcomes] == ["0", "1", "2", "3"]
    assert run.accuracy == run.summary.mean_accuracy == run.summary.pass_at_n == 1.75 / 4
    assert run.interval == wilson(1.75, 4)
    assert [leaf.correct for leaf in run.outcomes[1].leaves] == [0.5, 0.5]
    assert run.configuration["grader"].endswith(":half")


async def test_it_may_be_async_and_say_yes_or_no() -> None:
    async def grade(problem: ww.Problem, text: str) -> bool:
        return "2" in text

    run = await ww.evaluate_async(STRATEGY, ROWS, model=answer, grader=grade)
    assert [outcome.correct for outcome in run.outcomes] == [False, False, True, False]
    plain = ww.evaluate(STRATEGY, ROWS, model=answer, grader=lambda problem, text: np.float64(1) * ("2" in text))
    assert [outcome.correct for outcome in plain.outcomes] == [False, False, True, False]


def test_a_text_without_an_answer_is_an_answer_as_a_whole() -> None:
    run = ww.evaluate("single()", [{"question": "Say hello.", "answer": "-"}], model=lambda prompt: " Hello. ",
                      grader=lambda problem, text: "Hello" in text)  # fmt: skip
    assert (run.outcomes[0].answer, run.accuracy) == ("Hello.", 1)


def test_a_grader_of_ones_own_may_grade_in_part() -> None:
    class Near(ww.Grader):
        name = "near"

        def extract(self, text: str) -> str | None:
            return text.split("{")[-1].strip("}")

        async def correct(self, problem: ww.Problem, answer: str) -> float:
            return 0.5

    run = ww.evaluate(STRATEGY, ROWS, model=answer, grader=Near())
    assert run.accuracy == 0.5


def test_parts_count_in_comparisons_curves_and_sweeps() -> None:
    run = ww.evaluate("best_of_n(n=4) | majority_vote()", ROWS, model=answer, grader=half, run="a.db")
    none = ww.evaluate("single()", ROWS, model=answer, grader=lambda problem, text: False, run="b.db")
    first, second = ww.compare(run, none)
    assert (first.accuracy, first.interval) == (1.75 / 4, wilson(1.75, 4))
    assert second.difference is not None
    assert second.difference.mean == pytest.approx(-1.75 / 4)
    curve = ww.curve(run, replicates=10)
    for method in ("pass", "maj", "run"):
        assert curve.lines[method].accuracy[-1] == pytest.approx(1.75 / 4)
    swept = ww.sweep([STRATEGY], [ROWS], [1, 2], model=answer, grader=half)
    assert swept.curves[0].lines["run" if "run" in swept.curves[0].lines else "maj"].accuracy[-1] == pytest.approx(
        0.4375
    )


def test_pass_at_k_of_parts_is_the_expected_best_of_k() -> None:
    values = np.array([0.0, 0.25, 1.0])
    subsets = {1: values.mean(), 2: np.mean([0.25, 1.0, 1.0]), 3: 1.0}
    assert pass_at_k(values) == pytest.approx([subsets[k] for k in (1, 2, 3)])


def test_parts_are_kept_by_files_that_older_versions_read(tmp_path: Path) -> None:
    run = ww.evaluate(STRATEGY, ROWS, model=answer, grader=half, run="a.db")
    with sqlite3.connect("a.db") as db:
        assert [c for (c,) in db.execute("SELECT correct FROM answers ORDER BY problem")] == [1, 0, 0, 0]
    again = ww.Run.read("a.db")
    assert [outcome.correct for outcome in again.outcomes] == [outcome.correct for outcome in run.outcomes]
    result = CliRunner().invoke(app, ["export", "a.db", "a.jsonl"])
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in Path("a.jsonl").read_text().splitlines()]
    assert [row["samples"][0]["correct"] for row in rows] == [True, 0.5, 0.25, False]
    assert ww.curve("a.jsonl", replicates=10).lines["pass"].accuracy[-1] == pytest.approx(1.75 / 4)
    # Regraded, they count as whole again.
    assert CliRunner().invoke(app, ["grade", "a.db", "--grader", "math"]).exit_code == 0
    assert [outcome.correct for outcome in ww.Run.read("a.db").outcomes] == [True] * 4
    shown = CliRunner().invoke(app, ["traces", "a.db"]).output
    assert "right" in shown


GRADER = """
def lenient(problem, text):
    return 0.5 if problem.answer in text else False
"""


@pytest.mark.parametrize("named", ["own_graders:lenient", "own_graders.py:lenient", "folder/own_graders.py:lenient"])
def test_the_command_line_takes_a_function(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("folder").mkdir()
    for file in ("own_graders.py", "folder/own_graders.py"):
        Path(file).write_text(GRADER)
    sys.modules.pop("own_graders", None)
    monkeypatch.syspath_prepend(".")
    Path("p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    command = ["eval", "p.jsonl", "--strategy", "single()", "--max-tokens", "40", "--grader", named, "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    run = ww.Run.read(json.loads(done.stdout)["run"])
    assert {outcome.correct for outcome in run.outcomes} <= {False, 0.5, None}
    table = CliRunner().invoke(app, ["traces", str(run.path)])
    assert table.exit_code == 0
    assert ("0.50 right" in table.output) == (0.5 in {outcome.correct for outcome in run.outcomes})


@pytest.mark.parametrize(
    ("grader", "words"),
    [
        (lambda problem, text: "yes", r"it returned 'yes' \(str\)"),
        (lambda problem, text: None, r"it returned None \(NoneType\)"),
        (lambda problem, text: 7, r"it returned 7 \(int\)"),
        (lambda problem, text: math.nan, "it returned nan"),
        (lambda text: True, "a grader is made of a function of \\(problem, text\\)"),
        (lambda a, b, c: True, "a grader is made of a function of"),
        (7, "7? ?does not fit|a grader is"),
    ],
)
def test_what_is_no_grader_is_one_sentence(grader: Any, words: str) -> None:
    with pytest.raises(ww.UsageError, match=words) as caught:
        ww.evaluate(STRATEGY, ROWS, model=answer, grader=grader)
    assert "\n" not in str(caught.value)


def test_a_grader_that_breaks_fails_its_problem() -> None:
    def grade(problem: ww.Problem, text: str) -> bool:
        if problem.answer == "2":
            raise KeyError("no such thing")
        return True

    run = ww.evaluate(STRATEGY, ROWS, model=answer, grader=grade)
    [failure] = run.failures
    assert "failed with KeyError: 'no such thing'" in failure.errors[0]
    assert run.accuracy == 0.75


@pytest.mark.parametrize("how", ["python", "command"])
def test_reading_a_run_of_a_function_warns_of_nothing_and_keeps_its_grades(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    run = ww.evaluate(STRATEGY, ROWS, model=answer, grader=half, run="a.db")
    if how == "command":
        for command in (["curve", "a.db"], ["report", "a.db", "--out", "report"]):
            done = CliRunner().invoke(app, command)
            assert (done.exit_code, "neither built" in done.output, "graded by" in done.output) == (0, False, False)
    else:
        assert ww.curve(run, replicates=10).lines["maj"].accuracy[-1] == pytest.approx(1.75 / 4)
        assert "43.75 %" in run._repr_html_()
        ww.compare(run, run)
    assert caplog.messages == []


def test_grading_anew_by_an_unknown_grader_is_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    ww.evaluate(STRATEGY, ROWS, model=answer, grader=half, run="a.db")
    done = CliRunner().invoke(app, ["grade", "a.db"])
    assert done.exit_code != 0
    assert ":half', which is neither built in nor installed; name it with --grader" in " ".join(done.output.split())
    assert caplog.messages == []


def test_an_unknown_grader_of_ones_own_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """Its grades are stored, but which answers are equal is asked of another."""

    class Near(ww.Grader):
        name = "near"
        settings = {"by": 3}  # noqa: RUF012

        def extract(self, text: str) -> str | None:
            return text

        async def correct(self, problem: ww.Problem, answer: str) -> float:
            return 0.5

    run = ww.evaluate(STRATEGY, ROWS, model=answer, grader=Near(), run="a.db")
    assert ww.curve(run, replicates=10).lines["run"].accuracy[-1] == 0.5
    [said] = caplog.messages
    assert "'near', which is neither built in nor installed: its grades stand" in said


def test_a_function_that_grades_anew_reads_answers_as_before() -> None:
    """Before, the whole text became the answer, and samples with equal answers no longer voted together."""
    Path("own.py").write_text("def none(problem, text):\n    return '}' not in text\n")
    run = ww.evaluate(STRATEGY, ROWS, model=answer, grader=half, run="a.db")
    answers = [leaf.answer for outcome in run.outcomes for leaf in outcome.leaves]
    for _ in range(2):  # the second time the file names the function of the first
        done = CliRunner().invoke(app, ["grade", "a.db", "--grader", "own.py:none"])
        assert done.exit_code == 0, done.output
        again = ww.Run.read("a.db")
        assert [leaf.answer for outcome in again.outcomes for leaf in outcome.leaves] == answers
        assert (again.accuracy, again.configuration["grader"]) == (0, run.configuration["grader"])


def test_a_curve_of_a_function_groups_answers_as_before() -> None:
    numbers = count()

    def model(prompt: str) -> str:
        number = next(numbers)
        return f"{number}: \\boxed{{{4 if number else 5}}}"

    rows = [{"question": "What is 2 + 2?", "answer": 4}]
    run = ww.evaluate("best_of_n(n=4)", rows, model=model, run="a.db")
    graded = ww.curve(run, replicates=10, grader=lambda problem, text: "{4}" in text)
    assert graded.lines["maj"].accuracy[-1] == ww.curve(run, replicates=10).lines["maj"].accuracy[-1] == 1
