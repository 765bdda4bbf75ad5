"""Multiple-choice suites in the layouts of GPQA and MMLU-Pro, and suites whose arguments select problems."""

import csv
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from widthwise.core.errors import UsageError
from widthwise.evals.store.store import Store
from widthwise.evals.suites import hub
from widthwise.evals.suites.choice_rows import CHOOSE
from widthwise.evals.suites.suite import Suite
from widthwise.evals.suites.suites import grader_for, load_suite

GPQA = {
    "Record ID": "rec1",
    "Question": "Which metal is liquid at room temperature, 20 °C?",
    "Correct Answer": "Mercury\n",
    "Incorrect Answer 1": "Gallium",
    "Incorrect Answer 2": "Iron",
    "Incorrect Answer 3": "Lead, of course",
    "Explanation": "It melts at -39 °C.",
    "High-level domain": "Chemistry",
}
PRO = {
    "question_id": 70,
    "question": "What is the sum of the first ten primes?",
    "options": ["129", "100", "77", "58", "41", "28", "160", "17", "10", "N/A"],
    "answer": "A",
    "answer_index": 0,
    "cot_content": "",
    "category": "math",
    "src": "invented",
}


def written(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """``rows`` in the format given by the suffix of ``path``."""
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows({k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows)
    elif path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
    else:
        lines = [json.dumps(row) for row in rows]
        path.write_text(f"[{', '.join(lines)}]" if path.suffix == ".json" else "\n".join(lines))
    return path


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json", ".parquet"])
@pytest.mark.parametrize("name", ["gpqa", None])
async def test_gpqa_from_a_file(tmp_path: Path, suffix: str, name: str | None) -> None:
    suite = load_suite(name, written(tmp_path / f"mine{suffix}", [GPQA]))
    (problem,) = suite.problems
    assert (suite.instruction, suite.grader, problem.id) == (CHOOSE, hub.CHOICE, "rec1")
    options, order = problem.metadata["options"], problem.metadata["order"]
    assert sorted(options) == ["Gallium", "Iron", "Lead, of course", "Mercury"]
    assert [["Mercury", "Gallium", "Iron", "Lead, of course"][i] for i in order] == options
    assert (problem.metadata["order_seed"], problem.metadata["category"]) == (0, "Chemistry")
    assert "ABCD"[options.index("Mercury")] == problem.answer
    assert problem.text.endswith(f"\n\n(A) {options[0]}\n(B) {options[1]}\n(C) {options[2]}\n(D) {options[3]}")
    assert "melts" not in problem.text + str(problem.metadata)
    judge = suite.grader.for_problem(problem)
    assert judge.extract("The answer is mercury.") == problem.answer
    assert await suite.grader.correct(problem, str(problem.answer))
    assert not await suite.grader.correct(problem, "Iron")


def test_the_letters_of_gpqa_are_drawn_from_the_seed_and_the_question(tmp_path: Path) -> None:
    rows = [{**GPQA, "Record ID": f"r{i}", "Question": f"Question {i}?"} for i in range(400)]
    path = written(tmp_path / "mine.jsonl", rows)

    def letters(spec: str, file: Path = path) -> list[Any]:
        return [problem.answer for problem in load_suite(spec, file).problems]

    assert letters("gpqa") == letters("gpqa(seed=0)") != letters("gpqa(seed=1)")
    backwards = [dict(reversed(row.items())) for row in reversed(rows)]
    assert letters("gpqa", written(tmp_path / "back.jsonl", backwards)) == letters("gpqa")[::-1]
    counts = Counter(letters("gpqa"))
    assert set(counts) == set("ABCD")
    assert min(counts.values()) > 60, "each letter is right about as often"


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json", ".parquet"])
@pytest.mark.parametrize("name", ["mmlu_pro", None])
async def test_mmlu_pro_from_a_file(tmp_path: Path, suffix: str, name: str | None) -> None:
    suite = load_suite(name, written(tmp_path / f"mine{suffix}", [PRO]))
    (problem,) = suite.problems
    assert (problem.answer, suite.grader, suite.instruction) == ("A", hub.CHOICE, CHOOSE)
    assert problem.metadata["options"] == PRO["options"]
    assert problem.metadata["category"] == "math"
    judge = suite.grader.for_problem(problem)
    assert judge.extract("\\boxed{129}") == judge.extract("The sum is 129.\n\nA") == "A"
    assert judge.extract("The answer is (J).") == "J"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**PRO, "options": [str(i) for i in range(11)]}, "2 to 10 options, which are lettered A to J, not 11"),
        ({**PRO, "options": ["129"]}, "2 to 10 options"),
        ({**PRO, "options": "129, 100"}, "not a JSON list"),
        ({**PRO, "options": ["129", None]}, "a list of texts"),
        ({**PRO, "answer": "K", "answer_index": None}, "none of the options A to J, nor the text of one"),
        ({**PRO, "answer": "130", "answer_index": None}, "none of the options"),
        ({**PRO, "answer": "B"}, "'answer' says B and 'answer_index' says A"),
        ({**PRO, "answer": None, "answer_index": 10}, "from 0 to 9, not 10"),
        ({**PRO, "answer": None, "answer_index": -1}, "from 0 to 9, not -1"),
        ({**PRO, "answer": None, "answer_index": None}, "neither 'answer' nor 'answer_index'"),
        ({**PRO, "options": None}, "there are no options"),
        ({**PRO, "question": ""}, "the field 'problem' is missing"),
        ({**GPQA, "Incorrect Answer 2": None}, "a list of texts"),
        ({k: v for k, v in GPQA.items() if not k.startswith("Incorrect")}, "2 to 10 options"),
        ({"problem": "1+1?", "answer": "2"}, "there are no options"),
    ],
)
def test_rows_that_are_no_multiple_choice(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        load_suite("gpqa", written(tmp_path / "mine.jsonl", [row]))
    assert "mine.jsonl, line 1: " in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.csv",
            "Question,Correct Answer\nWhy?\n",
            "line 2: the row has a different number of fields than the header",
        ),
        ("a.csv", 'Question\n"Why?', "not valid CSV"),
        ("a.json", "[", "not valid JSON"),
        ("a.json", "[1]", "item 1: a JSON object is expected, not int"),
        ("a.csv", "Question,Question\nWhy?,Why?\n", "the header names the column 'Question' twice"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=message) as error:
        load_suite("gpqa", tmp_path / name)
    assert "\n" not in str(error.value)


def test_a_csv_file_with_a_byte_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"Question\n\xff\n")
    with pytest.raises(UsageError, match="not valid CSV in UTF-8"):
        load_suite("gpqa", tmp_path / "a.csv")


def test_a_run_of_choices_is_judged_by_letter_again(tmp_path: Path) -> None:
    problems = load_suite("mmlu_pro", written(tmp_path / "mine.jsonl", [PRO])).problems
    assert grader_for(problems, "mine").name == grader_for(problems, "mmlu_pro(categories=['math'])").name == "choice"


# --- From the hub, and by argument ------------------------------------------------------------------------------------


@pytest.fixture
def the_hub(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str | None, str], list[dict[str, Any]]]:
    """A fake hub: rows by dataset, configuration and split."""
    there: dict[tuple[str, str | None, str], list[dict[str, Any]]] = {}

    def load_dataset(path: str, config: str | None, split: str) -> list[dict[str, Any]]:
        return there[path, config, split]

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    return there


Hub = dict[tuple[str, str | None, str], list[dict[str, Any]]]


def test_choices_from_the_hub(the_hub: Hub) -> None:
    the_hub["Idavidrein/gpqa", "gpqa_diamond", "train"] = [GPQA]
    the_hub["Idavidrein/gpqa", "gpqa_main", "train"] = [GPQA, {**GPQA, "Record ID": "rec2"}]
    the_hub["TIGER-Lab/MMLU-Pro", None, "test"] = [PRO, {**PRO, "question_id": 71, "category": "law"}]
    assert [problem.id for problem in load_suite("gpqa").problems] == ["rec1"]
    suite = load_suite("gpqa(subset='main')")
    assert (len(suite.problems), suite.source) == (2, "hub: Idavidrein/gpqa (gpqa_main)")
    assert [problem.id for problem in load_suite("mmlu_pro").problems] == ["mmlu_pro-70", "mmlu_pro-71"]
    assert [problem.id for problem in load_suite("mmlu_pro(categories=['law'])").problems] == ["mmlu_pro-71"]
    with pytest.raises(UsageError, match=r"could not be loaded .* --data FILE \(JSON Lines, Parquet, CSV or JSON\)"):
        load_suite("gpqa(subset='extended')")


def test_years_of_the_aime(the_hub: Hub) -> None:
    the_hub["Maxwell-Jia/AIME_2024", None, "train"] = [{"ID": "2024-II-4", "Problem": "?", "Answer": 33}]
    the_hub["MathArena/aime_2025", None, "train"] = [{"problem_idx": 1, "problem": "?", "answer": 70}]
    the_hub["MathArena/aime_2026", None, "train"] = [{"problem_idx": 1, "problem": "?", "answer": 277}]
    assert ids(load_suite("aime")) == ["2024-II-4", "aime2025-1", "aime2026-1"]
    chosen = load_suite("aime(years=[2025, 2024])")
    assert ids(chosen) == ["aime2025-1", "2024-II-4"]
    assert [problem.metadata["year"] for problem in chosen.problems] == [2025, 2024]
    assert chosen.grader == hub.INTEGER
    with pytest.raises(UsageError, match="of years the hub has 2024, 2025, 2026, not 2001"):
        load_suite("aime(years=[2001])")


def ids(suite: Suite) -> list[str]:
    return [problem.id for problem in suite.problems]


def test_years_and_levels_in_a_file(tmp_path: Path) -> None:
    years = [
        {"id": "2001-I-1", "problem": "?", "answer": "1"},
        {"id": "b", "problem": "?", "answer": "2", "Year": 2002},
    ]
    path = written(tmp_path / "aime.jsonl", years)
    assert ids(load_suite("aime(years=[2001])", path)) == ["2001-I-1"]
    assert ids(load_suite("aime(years=2002)", path)) == ["b"]
    assert ids(load_suite("aime", path)) == ["2001-I-1", "b"]
    rows = [{"id": f"m{n}", "problem": "?", "answer": "1", "level": said} for n, said in enumerate([1, "Level 2", "5"])]
    path = written(tmp_path / "math.jsonl", rows)
    assert ids(load_suite("math500(levels=[1, 2])", path)) == ["m0", "m1"]
    assert load_suite("math500(levels=[1, 2])", path).name == "math500(levels=[1, 2])"
    with pytest.raises(UsageError, match=r"\(file: math.jsonl\)"):
        load_suite("math500(levels=[3])", path)
    path = written(tmp_path / "none.jsonl", [{"id": "a", "problem": "?", "answer": "1"}])
    with pytest.raises(UsageError, match="problem a cannot be selected by levels, because it does not state its own"):
        load_suite("math500(levels=[3])", path)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("math500(levels=[6])", r"levels must be a list of whole numbers from 1 to 5, not \[6\]"),
        ("math500(levels=[])", "must be a list"),
        ("math500(levels=['1'])", "must be a list"),
        ("math500(levels=[True])", "must be a list"),
        ("aime(years='2024')", "years must be a list of whole numbers from 1983"),
        ("gpqa(subset='diamonds')", "subset must be one of 'diamond', 'main', 'extended', not 'diamonds'"),
        ("mmlu_pro(categories=['maths'])", "must be a list of 'biology'"),
        ("gsm8k(n=3)", "gsm8k has no argument 'n': it takes no arguments"),
        ("gpqa(seed=-1)", "seed must be a whole number from 0"),
    ],
)
def test_arguments_that_a_suite_does_not_take(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        load_suite(spec)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("spec", ["gpqa(subset='main')", "countdown(n=5)"])
def test_arguments_that_say_nothing_about_a_file(tmp_path: Path, spec: str) -> None:
    with pytest.raises(UsageError, match="does not apply to the problems of"):
        load_suite(spec, written(tmp_path / "a.jsonl", [GPQA]))


# --- From the command line --------------------------------------------------------------------------------------------

ECHO = """
import numpy as np
from widthwise.backends.tokenizers.pieces import PieceTokenizer
from widthwise.core.backend import Capabilities, Delta


class Echo:
    name, max_model_len, capabilities, tokenizer = "echo", None, Capabilities(), PieceTokenizer()

    def __init__(self, says="The answer is mercury."):
        self.says = says

    async def generate(self, request):
        yield Delta(np.array(self.tokenizer.encode(self.says)), finish="stop")

    def describe(self):
        return {"says": self.says}

    async def close(self): ...
"""


def test_a_run_keeps_what_was_asked_and_says_what_guessing_gives(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(ECHO)
    written(tmp_path / "mixed.jsonl", [GPQA, {**GPQA, "Record ID": "rec2", "Question": "And at 20 °F?"}])

    def widthwise(*arguments: str) -> str:
        command = [sys.executable, "-m", "widthwise", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    run = ["eval", "gpqa(seed=3)", "--data", "mixed.jsonl", "--model", "echo:Echo", "--run", "run.db", "--strategy"]
    summary = json.loads(widthwise(*run, "best_of_n(n=2) | majority_vote()", "--json"))
    assert (summary["suite"], summary["accuracy"], summary["chance"]) == ("gpqa(seed=3)", 1.0, 0.25)
    assert "25.00 % of guesses are right" in widthwise(*run, "best_of_n(n=2) | majority_vote()")
    with Store.read(tmp_path / "run.db") as store:
        assert (store.manifest["instruction"], store.manifest["source"]) == (CHOOSE, "file: mixed.jsonl")
        assert {outcome.problem.metadata["order_seed"] for outcome in store.outcomes()} == {3}
    assert json.loads(widthwise("grade", "run.db", "--json"))["changes"] == []
    plain = ["eval", "arithmetic", "--limit", "1", "--model", "echo:Echo", "--strategy", "single()", "--json"]
    assert json.loads(widthwise(*plain))["chance"] is None
