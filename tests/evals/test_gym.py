"""reasoning-gym's generators by name, and their scorers, which a model's answer cannot exploit."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.evals.gym import server
from widthwise.evals.gym.arguments import plain_arguments
from widthwise.evals.gym.grader import GymGrader
from widthwise.evals.gym.problems import ANSWER_TAGS
from widthwise.evals.suites import hub
from widthwise.evals.suites.suites import grader_for, load_suite

GRADER = GymGrader()

STATED = {
    "So <answer>100</answer>": "100",
    "<answer> 100 </answer>": "100",
    "<answer>1 2\n3 4</answer>": "1 2\n3 4",
    "<answer>\n1 2\n3 4\n</answer>": "1 2\n3 4",
    "<answer>a</answer> no: <answer>b</answer>": "b",
    "<ANSWER>a</ANSWER>": "a",
    "It is <answer>cut off": "cut off",
    "The form is <answer>...</answer>.\n<answer>7</answer>": "7",
    "So it is \\boxed{42}.": "42",
    "**Answer:** yes": "yes",
    "Answer: B": "B",
    "<answer></answer>": None,
    "I do not know.": None,
    "": None,
    f"<answer>{'x' * 30_000}</answer>": None,
    "<answer>9</answer> so \\boxed{8}": "9",
}


@pytest.mark.parametrize("text", STATED, ids=lambda text: text[:30].encode("unicode_escape").decode())
def test_what_stands_between_the_tags_is_the_answer(text: str) -> None:
    assert GRADER.extract(text) == STATED[text]


async def test_votes_go_by_spelling_up_to_blanks() -> None:
    assert (await GRADER.partition(["1 2\n3", "1  2 3 ", "1 23", "A", "a"])).classes == [[0, 1], [2], [3], [4]]


@pytest.mark.parametrize("arguments", [{"threshold": 0.0}, {"threshold": 1.5}, {"seconds": 0.0}, {"threshold": "1"}])
def test_arguments_that_make_no_sense(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        GRADER.changed(**arguments)


def test_without_the_package_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"gym:NAME need reasoning-gym: pip install .*\[gym\]'"):
        load_suite("gym:leg_counting")


@pytest.fixture(scope="module")
def legs() -> Problem:
    pytest.importorskip("reasoning_gym", reason="reasoning-gym is not installed")
    return load_suite("gym:leg_counting(n=2, seed=5)").problems[1]


async def test_a_generators_problems_and_its_scorer(legs: Problem) -> None:
    suite = load_suite("gym:leg_counting(n=2, seed=5)")
    assert (suite.name, suite.grader, suite.instruction) == ("gym:leg_counting(n=2, seed=5)", hub.GYM, ANSWER_TAGS)
    assert [problem.id for problem in suite.problems] == ["gym-leg_counting-5-0000", "gym-leg_counting-5-0001"]
    assert suite.problems[1] == legs
    assert suite.digest == load_suite("gym(name='leg_counting', seed=5, n=2)").digest
    assert suite.digest != load_suite("gym:leg_counting(n=2, seed=6)").digest
    assert await GRADER.correct(legs, str(legs.answer))
    assert not await GRADER.correct(legs, f"{legs.answer}1")
    assert grader_for(suite.problems, suite.name).name == "gym"
    few = load_suite("gym:leg_counting(n=1, seed=5, max_animals=3)").problems[0]
    assert few.metadata["config"] == {"max_animals": 3, "size": 1, "seed": 5}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["puzzle24", "countdown", "intermediate_integration", "mini_sudoku", "word_ladder", "polynomial_multiplication",
     "number_sorting", "rearc", "figlet_font", "zebra_puzzles"],
)  # fmt: skip
async def test_the_reference_of_a_generator_is_right_inside_the_walls(legs: Problem, name: str) -> None:
    """Scorers that use sympy, ``eval``, numpy or grids: all of them work inside the sandbox."""
    (problem,) = load_suite(f"gym:{name}(n=1, seed=3)").problems
    grader = GymGrader()
    assert await grader.correct(problem, str(problem.answer)), await grader.verdict(problem, str(problem.answer))
    assert not await grader.correct(problem, "garbage (")


@pytest.mark.parametrize("name", ["puzzle24", "countdown", "intermediate_integration"])
@pytest.mark.parametrize(
    "answer",
    ["__import__('os').system('touch PWNED')", "open('PWNED', 'w').write('x')", "(lambda: exit())()",
     "__import__('subprocess').run(['touch', 'PWNED'])", "9**9**9**9**9", "(" * 3_000, "[0] * 10**11"],
)  # fmt: skip
async def test_an_answer_gets_nothing_out_of_a_scorer(legs: Problem, name: str, answer: str, tmp_path: Path) -> None:
    (problem,) = load_suite(f"gym:{name}(n=1, seed=3)").problems
    grader = GymGrader().changed(seconds=2.0)
    assert not await grader.correct(problem, answer.replace("PWNED", str(tmp_path / "pwned")))
    assert not (tmp_path / "pwned").exists()
    assert await grader.correct(problem, str(problem.answer)), "and the next answer is scored as ever"


async def test_an_answer_that_could_not_be_scored_is_remarked_on(legs: Problem) -> None:
    (problem,) = load_suite("gym:puzzle24(n=1, seed=3)").problems
    grader = GymGrader().changed(seconds=1.0)
    assert not await grader.correct(problem, "9**9**9**9")
    assert str(grader.remark(problem, "9**9**9**9")).startswith(
        "an answer that counts as wrong was not scored: it ran for"
    )
    assert not await grader.correct(problem, "1")
    assert grader.remark(problem, "1") is None


async def test_a_threshold_makes_partial_scores_right(legs: Problem) -> None:
    (problem,) = load_suite("gym:number_sorting(n=1, seed=3)").problems
    assert (await GRADER.verdict(problem, str(problem.answer))).rule == "its scorer gives 1 of 1"
    some = load_suite("gym:word_sorting(n=1, seed=3)").problems[0]
    words = str(some.answer).split(", ")
    scores = (await GRADER.verdict(some, ", ".join(words[1:]))).rule
    assert scores.endswith("of 1")
    score = float(scores.split()[-3])
    if score > 0:
        assert await GRADER.changed(threshold=score).correct(some, ", ".join(words[1:]))


async def test_a_problem_that_is_made_otherwise_now_is_not_judged(legs: Problem) -> None:
    other = replace(legs, text=legs.text + " (as it was)")
    with pytest.raises(UsageError, match=r"was made by reasoning-gym .* install that version"):
        await GRADER.correct(other, "1")
    with pytest.raises(UsageError, match="problem p is not from reasoning-gym"):
        await GRADER.correct(Problem("p", "?", "1", {"gym": 1, "config": {}, "index": 0}), "1")


async def test_the_arguments_in_somebodys_run_file_get_nothing_either(legs: Problem, tmp_path: Path) -> None:
    """This generator evaluates expressions that it builds from its operators."""
    operator = f"+__import__('os').system('touch {tmp_path / 'pwned'}')+"
    config = {"size": 1, "seed": 0, "operators": [operator]}
    with pytest.raises(UsageError, match="has characters that are not allowed here"):
        await GRADER.correct(Problem("p", "?", "1", {"gym": "basic_arithmetic", "config": config, "index": 0}), "1")
    with pytest.raises(UsageError, match="has characters that are not allowed here"):
        load_suite(f"gym:basic_arithmetic(n=1, operators=[{operator!r}])")
    assert not (tmp_path / "pwned").exists()
    assert load_suite("gym:basic_arithmetic(n=2, operators=['+', '-'])").problems


@pytest.mark.parametrize("config", [{"a": "x()"}, {"a": ["'"]}, {"a(": 1}, {"a": {"b": "../x"}}, {"a": "x" * 20_000}])
def test_arguments_that_are_not_taken(config: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="gym:name: "):
        plain_arguments("name", config)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gym:leg_countin", "no generator 'leg_countin'; did you mean 'leg_counting'"),
        ("gym:leg_counting(maximum=3)", "has no argument 'maximum': its arguments are n, seed, min_animals"),
        ("gym:leg_counting(max_animals=0)", "cannot make problems from these arguments: AssertionError"),
        ("gym:leg_counting(n=0)", "n must be a whole number of at least 1, not 0"),
        ("gym:leg_counting(seed='a')", "seed must be a whole number"),
        ("gym:leg_counting(max_animals={1})", "its arguments must be numbers, texts, lists"),
        ("gym:", "no generator ''"),
    ],
)
def test_generators_and_arguments_that_there_are_not(legs: Problem, spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        load_suite(spec)
    assert "\n" not in str(error.value)


def test_a_generator_takes_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gym:ab generates its problems: it takes none from a file"):
        load_suite("gym:ab", tmp_path / "x.jsonl")


def test_from_the_command_line_and_graded_again(legs: Problem, tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(
        "import numpy as np\nfrom widthwise.backends.tokenizers.pieces import PieceTokenizer\n"
        "from widthwise.core.backend import Capabilities, Delta\n\n\nclass Echo:\n"
        "    name, max_model_len, capabilities, tokenizer = 'echo', None, Capabilities(), PieceTokenizer()\n\n"
        "    async def generate(self, request):\n"
        f"        text = '<answer>{legs.answer}</answer>'\n"
        "        yield Delta(np.array(self.tokenizer.encode(text)), finish='stop')\n\n"
        "    def describe(self):\n        return {}\n\n    async def close(self): ...\n"
    )

    def widthwise(*arguments: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "widthwise", *arguments, "--json"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return dict(json.loads(done.stdout))

    summary = widthwise("eval", "gym:leg_counting(n=2, seed=5)", "--model", "echo:Echo", "--run", "run.db")
    assert (summary["suite"], summary["accuracy"]) == ("gym:leg_counting(n=2, seed=5)", 0.5)
    again = widthwise("grade", "run.db", "--grader", "gym(threshold=0.5)")
    assert (again["grader"], again["grading"]["threshold"], again["changes"]) == ("gym", 0.5, [])
