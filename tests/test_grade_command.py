"""The command ``grade``: pairs explained, runs regraded and compared with math-verify."""

import json
import sqlite3
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from widthwise.cli.app import app
from widthwise.evals.grading.explanation import explained
from widthwise.evals.grading.second_opinion import math_verify
from widthwise.evals.store.store import Store
from widthwise.evals.suites.hub import INTEGER
from widthwise.evals.suites.suites import grader_of

TEXTS = ["It costs \\boxed{\\$6}", "It costs \\boxed{\\text{less than } 6}", "It costs 6 in all"]
RUN = "a.db"

needs_math_verify = pytest.mark.skipif(find_spec("math_verify") is None, reason="math-verify is not installed")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty current folder with a run of one problem."""
    monkeypatch.chdir(tmp_path)
    row = {"problem_id": "p", "problem": "What?", "answer": "\\text{about } 6", "samples": [{"text": t} for t in TEXTS]}
    other = {"problem_id": "q", "problem": "What?", "answer": "6", "samples": [{"text": t} for t in TEXTS]}
    Path("x.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(other) + "\n")
    assert called("import", "x.jsonl", RUN).exit_code == 0


def called(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_a_pair_is_explained() -> None:
    text = "Answer: $\\frac{1}{2}$, as required"
    shown = called("grade", "--gold", "0.5", "--prediction", text, "--explain").stdout
    assert "answer line" in shown
    assert "equal: canonical form" in shown
    found = json.loads(called("grade", "--gold", "B", "--prediction", "(C) 5", "--explain", "--json").stdout)
    assert (found["equal"], found["outcome"], found["rule"]) == (False, "different", "choice letter")
    assert found["prediction"]["answer"] == "(C) 5"


def test_a_grader_reads_as_its_suites_do() -> None:
    text = "First \\boxed{12}. In the end \\boxed{\\frac{25}{2}}"
    assert called("grade", "--gold", "12", "--prediction", text, "--grader", "integer").stdout == "different\n"
    assert explained("12", text, INTEGER).prediction.reader == "none"
    for grader, verdict in (("math", "equal\n"), ("math(percent=False)", "different\n")):
        assert called("grade", "--gold", "60", "--prediction", "\\boxed{60\\%}", "--grader", grader).stdout == verdict


def test_prose_is_read_by_its_last_value_and_a_bare_answer_as_it_stands() -> None:
    assert explained("2/3", "So the probability of a win is 2/3.").prediction.reader == "last value"
    assert not explained("5", "\\text{not } 5").equal
    assert explained("5", "\\text{not } 5").prediction.reader == "bare answer"
    assert not explained("5", "5 is not the number that we want here").equal


def test_a_run_keeps_how_it_was_graded_last() -> None:
    def read() -> list[str | None]:
        with Store.read(RUN) as store:
            return [leaf.answer for outcome in store.outcomes() for leaf in outcome.leaves]

    def grading() -> object:
        with Store.read(RUN) as store:
            return grader_of(store).settings["last_number"]

    plain = json.loads(called("grade", RUN, "--json").stdout)
    assert plain["grading"]["last_number"] is False
    assert read() == ["\\$6", "\\text{less than } 6", None] * 2
    called("grade", RUN, "--grader", "math(last_number=True)")
    assert read() == ["\\$6", "\\text{less than } 6", "6"] * 2
    assert grading() is True
    assert json.loads(called("grade", RUN, "--json").stdout)["changes"] == []


@pytest.mark.slow
@needs_math_verify
def test_a_run_is_compared_with_math_verify() -> None:
    called("grade", RUN)
    found = json.loads(called("grade", RUN, "--against", "math-verify", "--json").stdout)
    assert found["traces"] == 6
    assert found["differ"] == len(found["differing"]) > 0
    row = next(row for row in found["differing"] if (row["problem"], row["trace"]) == ("q", "0.2"))
    assert (row["answer"], row["correct"], row["math_verify"]) == (None, False, True)
    assert "graded differently" in called("grade", RUN, "--against", "math-verify").stdout


@pytest.mark.slow
@needs_math_verify
def test_a_pair_that_ends_the_process_has_no_verdict() -> None:
    hostile = ("1", "$" + "2^{" * 40 + "9" + "}" * 40 + "$")
    verdicts = math_verify([("1/2", "$0.5$"), hostile, ("2", "\\boxed{3}")])
    assert (verdicts[0], verdicts[2]) == (True, False)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--gold", "1"], "--prediction"),
        ([RUN, "--explain"], "--explain"),
        ([RUN, "--gold", "1", "--prediction", "1"], "--gold ANSWER"),
        ([RUN, "--against", "sympy"], "compared with math-verify, not 'sympy'"),
        (["--gold", "1", "--prediction", "1", "--grader", "math(percent=3)"], "percent of the math grader is a bool"),
        (["--gold", "1", "--prediction", "1", "--grader", "math(percnt=3)"], "no argument 'percnt'"),
        (["--gold", "1", "--prediction", "1", "--grader", "math(1)"], "write it as math(percent=False"),
        (["--gold", "1", "--prediction", "1", "--grader", "countdown"], "grades answers to a problem"),
    ],
)
def test_a_wrong_request_is_one_sentence(arguments: list[str], complaint: str) -> None:
    result = called("grade", *arguments)
    assert complaint in result.stderr
    assert result.exit_code == 2


def test_an_evaluation_keeps_the_arguments_of_its_grader() -> None:
    arguments = ("--data", "x.jsonl", "--model", "replay:x.jsonl", "--strategy", "best_of_n(n=3) | majority_vote()")
    done = called("eval", *arguments, "--grader", "math(last_number=True, thinking='never')", "--run", "b.db")
    assert done.exit_code == 0, done.output
    with Store.read("b.db") as store:
        assert store.manifest["configuration"]["grader"] == "math"
        assert store.manifest["configuration"]["grading"]["thinking"] == "never"
        assert [leaf.answer for outcome in store.outcomes() for leaf in outcome.leaves][2::3] == ["6", "6"]
    assert json.loads(called("grade", "b.db", "--json").stdout)["changes"] == []


def test_the_list_of_graders_says_what_they_read_and_their_arguments() -> None:
    listed = called("graders").stdout
    for words in ("reads an integer; thinking='last', last_number=False", "relative=0.0001", "reads a number"):
        assert words in listed


def test_a_run_that_cannot_be_graded_is_left_as_it_is() -> None:
    with sqlite3.connect(RUN) as db:
        db.execute("UPDATE problems SET answer = NULL WHERE id = 'q'")
    db.close()
    before = Path(RUN).read_bytes()
    ended = called("grade", RUN)
    assert ended.exit_code == 2
    assert "no reference answer" in ended.stderr
    assert Path(RUN).read_bytes() == before
