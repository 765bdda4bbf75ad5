"""Code tasks in the layouts of HumanEval+ and MBPP+: reading programs, running their tests, and votes by behaviour."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evals.test_choice_suites import written
from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.core.sandbox import sandbox
from widthwise.evals.grading import numpy_stand_in
from widthwise.evals.grading.code import CodeGrader
from widthwise.evals.grading.unit_tests import CodeTask, NotRunnable
from widthwise.evals.suites import hub
from widthwise.evals.suites.code_rows import WRITE_CODE
from widthwise.evals.suites.suites import grader_for, load_suite

COMPARING = """
import numpy as np

def is_floats(x) -> bool:
    if isinstance(x, float):
        return True
    if isinstance(x, (list, tuple)):
        return all(isinstance(i, float) for i in x)
    if isinstance(x, np.ndarray):
        return x.dtype == np.float64 or x.dtype == np.float32
    return False

def same(out, exp, atol):
    exact_match = out == exp
    if atol == 0 and is_floats(exp):
        atol = 1e-6
    if not exact_match and atol != 0:
        COMPARE
    else:
        assert exact_match
"""
"""How the tests of both suites compare, in both forms that have been in use."""

STARTER = '''from typing import List

def half(x):
    """A helper."""
    return x / 2


def halves(numbers: List[float], times: int = 1) -> List[float]:
    """ Halve every number so many times.
    >>> halves([2.0, 3.0])
    [1.0, 1.5]
    >>> halves([8], 3)
    [1.0]
    In words: halves([0.3]) gives 0.15 and halves(x) is lazy.
    """
'''
BODY = "    for _ in range(times):\n        numbers = [half(x) for x in numbers]\n    return numbers\n"


def humaneval(compare: str = "assert np.allclose(out, exp, rtol=1e-07, atol=atol)", **changed: Any) -> dict[str, Any]:
    """A row in HumanEval+'s layout."""
    test = COMPARING.replace("COMPARE", compare) + (
        "def check(candidate):\n    inputs = [[[2.0, 3.0]], [[0.3], 2], [[], 4]]\n"
        "    results = [[1.0, 1.5], [0.07500000001], []]\n"
        "    for i, (inp, exp) in enumerate(zip(inputs, results)):\n        same(candidate(*inp), exp, 0)\n"
    )
    row = {"task_id": "Own/0", "prompt": STARTER, "canonical_solution": BODY, "entry_point": "halves", "test": test}
    return {**row, **changed}


def mbpp(**changed: Any) -> dict[str, Any]:
    """A row in MBPP+'s layout."""
    test = COMPARING.replace("COMPARE", "assert np.allclose(out, exp, rtol=1e-07, atol=atol)")
    test += "inputs = [[[3, 1, 2]], [[]], [[1] * 50]]\nresults = [{1, 2, 3}, set(), {1}]\n"
    test += "for i, (inp, exp) in enumerate(zip(inputs, results)):\n    same(distinct(*inp), exp, 0)\n"
    row = {
        "task_id": 7,
        "code": "def helper(x):\n    return set(x)\ndef distinct(x):\n    return helper(x)",
        "prompt": "Write a function that gives the distinct numbers of a list.",
        "source_file": "invented",
        "test_imports": ["import math"],
        "test_list": ["assert set(distinct([1, 1, 2])) == {1, 2}", "assert distinct([]) == set()"],
        "test": test,
    }
    return {**row, **changed}


def problem_of(tmp_path: Path, row: dict[str, Any]) -> Problem:
    (problem,) = load_suite(None, written(tmp_path / "own.jsonl", [row])).problems
    return problem


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json", ".parquet"])
@pytest.mark.parametrize(("name", "row"), [("humaneval_plus", humaneval()), ("mbpp_plus", mbpp())])
async def test_both_layouts_from_every_kind_of_file(
    tmp_path: Path, suffix: str, name: str, row: dict[str, Any]
) -> None:
    path = written(tmp_path / f"own{suffix}", [row])
    suite = load_suite(name, path)
    assert (suite.grader, suite.instruction) == (hub.CODE, WRITE_CODE)
    assert load_suite(None, path).digest == load_suite(name, path).digest, "the columns show what it is"
    (problem,) = suite.problems
    assert await suite.grader.correct(problem, str(problem.answer)), "the reference passes its own tests"
    assert not await suite.grader.correct(problem, f"def {problem.metadata['entry_point']}(*_):\n    return 1")
    assert grader_for(suite.problems, "own").name == "code"


def test_that_numpy_is_stood_in_for_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    suite = load_suite(
        "mbpp_plus", written(tmp_path / "own.jsonl", [mbpp(), mbpp(task_id=8, test="assert distinct([1])")])
    )
    assert suite.source == "file: own.jsonl; a stand-in replaces numpy's comparisons in its tests"
    assert "numbers are compared with numpy in the tests of 1 problem: a stand-in does it" in caplog.text
    plain = load_suite("mbpp_plus", written(tmp_path / "plain.jsonl", [mbpp(test="assert distinct([1])")]))
    assert plain.source == "file: plain.jsonl"


def test_what_is_asked(tmp_path: Path) -> None:
    head, described = problem_of(tmp_path, humaneval()), problem_of(tmp_path, mbpp())
    assert head.text == f"Complete this function:\n\n```python\n{STARTER.strip()}\n```"
    assert (head.id, described.id) == ("Own/0", "own-7")
    assert described.text == (
        "Write a function that gives the distinct numbers of a list.\n\nThe function must pass these tests:\n\n"
        "```python\nimport math\nassert set(distinct([1, 1, 2])) == {1, 2}\nassert distinct([]) == set()\n```"
    )
    assert described.metadata["entry_point"] == "distinct"


def test_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"evalplus/humanevalplus": humaneval(), "evalplus/mbppplus": mbpp()}
    monkeypatch.setattr("datasets.load_dataset", lambda path, config, split: [there[path]] if split == "test" else [])
    assert [problem.id for problem in load_suite("humaneval_plus").problems] == ["Own/0"]
    assert [problem.id for problem in load_suite("mbpp_plus").problems] == ["mbpp_plus-7"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (humaneval(entry_point="other"), "must hold the head of the function 'other'"),
        (humaneval(entry_point="a b"), "must hold the head"),
        (humaneval(test=" "), "the column 'test' is missing or empty"),
        (humaneval(prompt=None), "the column 'prompt' is missing"),
        (mbpp(test_list=[]), "'test_list' is empty"),
        (mbpp(test_list="assert x"), "must hold a list of texts"),
        (mbpp(test_list=["assert other() == 1"]), "call no function that 'code' defines"),
        (mbpp(code="def ("), "must be Python that can be read"),
        (mbpp(code="(" * 5_000), "must be Python that can be read"),
        (mbpp(code=None), "the column 'code' is missing"),
        ({"question": "?", "answer": "1"}, "neither the column 'entry_point' nor 'test_list'"),
    ],
)
def test_rows_that_are_no_code_task(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        load_suite("mbpp_plus", written(tmp_path / "own.jsonl", [row]))
    assert "own.jsonl, line 1: " in str(error.value)
    assert "\n" not in str(error.value)


# --- Reading programs -------------------------------------------------------------------------------------------------

GOOD = "def halves(numbers, times=1):\n    return [x / 2 ** times for x in numbers]"
TEXTS = {
    f"```python\n{GOOD}\n```": GOOD,
    f"```\n{GOOD}\n```": GOOD,
    f"~~~py\n{GOOD}\n~~~": GOOD,
    f"````python\n{GOOD}\n````": GOOD,
    f"Sure!\n\n```python\n{GOOD}\n```\n\nIt works:\n```python\nprint(halves([2]))\n```": GOOD,
    f"```python\n{GOOD}\n```\nexample:\n```\n>>> halves([2])\n[1.0]\n```": GOOD,
    f"First try:\n```python\ndef halves(numbers): return 1\n```\nBetter:\n```python\n{GOOD}\n```": GOOD,
    f"```python\n{GOOD}": GOOD,
    f"1. The code:\n   ```python\n{''.join(f'   {line}' + chr(10) for line in GOOD.splitlines())}   ```": GOOD,
    f"<think>```python\ndef halves(numbers): return 1\n```</think>\n```python\n{GOOD}\n```": GOOD,
    f"```python\nimport math\n\n{GOOD}\n\nassert 1\n```": f"import math\n\n{GOOD}\n\nassert 1",
    "```python\nhalves = lambda numbers, times=1: numbers\n```": "halves = lambda numbers, times=1: numbers",
    f"```python\n{GOOD}\n```\nThe same in JavaScript:\n```js\nfunction halves(x) {{}}\n```": GOOD,
    f"{GOOD}\n\nThis halves every number.": GOOD,
    f"Here it is:\n\n{GOOD}\n": GOOD,
    GOOD: GOOD,
    "```python\ndef halves(numbers:\n```": "def halves(numbers:",
    BODY: f"{STARTER.rstrip()}\n{BODY.rstrip()}",
    f"```python\n{BODY}```": f"{STARTER.rstrip()}\n{BODY.rstrip()}",
    "```python\nreturn numbers\n```": f"{STARTER.rstrip()}\n    return numbers",
    "return numbers": None,
    "    return numbers\n\nThis is the body.": f"{STARTER.rstrip()}\n    return numbers",
    "I cannot do that.": None,
    "The function halves(numbers) is easy to write.": None,
    "```python\nprint('no function')\nx = (\n```": None,
    "": None,
    "```": None,
    "<think>```python\ndef halves(numbers): return 1\n```": None,
}


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text[-40:].encode("unicode_escape").decode())
def test_the_program_that_a_text_answers_with(tmp_path: Path, text: str) -> None:
    assert CodeGrader().for_problem(problem_of(tmp_path, humaneval())).extract(text) == TEXTS[text]


def test_without_a_problem_the_last_block_is_read() -> None:
    assert CodeGrader().extract("```\na = 1\n```\nor\n```\nb = 2\n```") == "b = 2"
    assert CodeGrader().extract("a = 1") is None


@pytest.mark.parametrize(
    "text", ["```" * 100_000, "def halves(" * 20_000, "```\n" * 60_000, "(" * 300_000, "    x\n" * 99_999]
)
def test_long_texts_hold_no_program(tmp_path: Path, text: str) -> None:
    found = CodeGrader().for_problem(problem_of(tmp_path, humaneval())).extract(text)
    assert found is None or len(found) <= 20_000


# --- Running them -----------------------------------------------------------------------------------------------------

OUTCOMES = {
    GOOD: ("same", "it passes the unit tests"),
    BODY and f"{STARTER}{BODY}": ("same", "passes"),
    "def halves(numbers: List[float], times=1):\n    return [half(x) if times == 1 else x / 4 for x in numbers]": (
        "same",
        "",
    ),
    "def halves(numbers, times=1):\n    return numbers": ("different", "AssertionError"),
    "def halves(numbers, times=1):\n    return [str(x) for x in numbers]": ("different", "it raised"),
    "def quarters(x): return x": ("different", "it does not define halves"),
    "def halves(numbers": ("different", "not readable Python"),
    "def halves(numbers, times=1):\n    while True: pass": ("not decided", "not run to its end: it ran for more than"),
    "def halves(numbers, times=1):\n    return [0] * 10 ** 11": ("not decided", "out of memory"),
    "def halves(numbers, times=1):\n    return halves(numbers, times)": ("different", "RecursionError"),
    "import os\ndef halves(n, times=1):\n    while True: os.fork()": ("not decided", "importing 'os' is not allowed"),
    "import numpy as np\ndef halves(n, times=1):\n    return np.array(n) / 2": ("not decided", "importing 'numpy'"),
    "def halves(n, times=1):\n    return open('/etc/passwd').read()": ("not decided", "the name 'open' is not allowed"),
    "def halves(n, times=1):\n    exit()": ("different", "name 'exit' is not defined"),
    "class L:\n    def __eq__(self, o): return True\ndef halves(n, times=1):\n    return L()": (
        "different",
        "it raised",
    ),
    "def halves(n, times=1):\n    print('x' * 10 ** 6)\n    return [x / 2 ** times for x in n]": ("same", ""),
    "def is_floats(x): return False\ndef same(*_): pass\n" + GOOD.replace("2", "3"): ("different", "AssertionError"),
    "import collections, heapq, itertools, functools, re, string, math, typing, bisect, copy\n" + GOOD: ("same", ""),
}


@pytest.mark.parametrize("program", OUTCOMES, ids=lambda program: program[-40:].encode("unicode_escape").decode())
async def test_a_program_passes_or_does_not_and_why(tmp_path: Path, program: str) -> None:
    problem = problem_of(tmp_path, humaneval())
    grader = CodeGrader().changed(seconds=1.0, megabytes=300).for_problem(problem)
    outcome, why = OUTCOMES[program]
    verdict = await grader.verdict(problem, program)
    assert (verdict.outcome, why in verdict.rule) == (outcome, True), verdict.rule
    assert await grader.correct(problem, program) is (outcome == "same")
    remark = grader.remark(problem, program)
    assert remark == (f"a program that counts as wrong was {verdict.rule}" if outcome == "not decided" else None)


@pytest.mark.parametrize(
    "compare",
    ["assert np.allclose(out, exp, rtol=1e-07, atol=atol)", "np.testing.assert_allclose(out, exp, atol=atol)"],
)
async def test_numbers_are_compared_as_numpy_does(tmp_path: Path, compare: str) -> None:
    problem = problem_of(tmp_path, humaneval(compare))
    assert CodeTask.of(problem).numpy_stands_in
    assert await hub.CODE.correct(problem, GOOD)
    assert not await hub.CODE.correct(problem, GOOD.replace("2 **", "2.0001 **"))


@pytest.mark.parametrize(
    "line", ["from numpy import allclose", "import numpy.testing as t", "import numpy as np\nx = np.load('x')"]
)
async def test_tests_that_need_more_of_numpy_are_said_not_to_be_runnable(tmp_path: Path, line: str) -> None:
    problem = problem_of(tmp_path, humaneval(test=f"{line}\ndef check(candidate): pass"))
    with pytest.raises(NotRunnable):
        _ = CodeTask.of(problem).unit_tests
    grader = hub.CODE.for_problem(problem)
    assert not await grader.correct(problem, GOOD)
    assert "not runnable here: its tests" in str(grader.remark(problem, GOOD))


async def test_an_mbpp_test_calls_the_function_by_either_name(tmp_path: Path) -> None:
    for test in ("assert distinct([1]) == {1}", "assert candidate([1]) == {1}"):
        problem = problem_of(tmp_path, mbpp(test=test))
        assert await hub.CODE.correct(problem, "distinct = set")
        assert not await hub.CODE.correct(problem, "distinct = list")
    problem = problem_of(tmp_path, mbpp(test=None))
    assert await hub.CODE.correct(problem, "distinct = set"), "without tests of its own, the assertions are them"


async def test_where_no_program_can_be_run_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "INTERPRETER", "/nowhere/python")
    sandbox.require_walls.cache_clear()
    try:
        with pytest.raises(UsageError, match="cannot be run here"):
            await hub.CODE.for_problem(problem_of(tmp_path, mbpp())).correct(problem_of(tmp_path, mbpp()), "x = 1")
    finally:
        sandbox.require_walls.cache_clear()


async def test_what_is_no_code_task_is_not_judged() -> None:
    with pytest.raises(UsageError, match="problem p is not a code task: it needs `entry_point` and `test`"):
        await hub.CODE.correct(Problem("p", "?", "1"), "x = 1")


# --- Votes ------------------------------------------------------------------------------------------------------------


async def test_votes_go_by_what_programs_do_on_the_prompts_examples(tmp_path: Path) -> None:
    grader = hub.CODE.for_problem(problem_of(tmp_path, humaneval()))
    programs = [
        GOOD,
        "def halves(numbers, times=1):\n    # another way\n    return [float(x) / (2 ** times) for x in numbers]",
        "def halves(numbers, times=1):\n    return numbers",
        "def halves(numbers, times=1):\n    return list(numbers)",
        "def halves(numbers, times=1):\n    raise ValueError",
        "import os\ndef halves(n):\n    pass",
        "import os\n\ndef halves(n):\n    '''Not run.'''\n    pass  # either",
        "def halves(n",
    ]
    partition = await grader.partition(programs)
    assert partition.classes == [[0, 1], [2, 3], [4], [5, 6], [7]]
    assert not partition.undecided
    backwards = await grader.partition(programs[::-1])
    last = len(programs) - 1
    assert sorted(sorted(last - i for i in members) for members in backwards.classes) == sorted(partition.classes)
    assert (await grader.partition(programs[1:4])).classes == [[0], [1, 2]], "of a part, what the whole leaves of it"


async def test_equal_values_are_one_behaviour_however_they_are_written(tmp_path: Path) -> None:
    grader = hub.CODE.for_problem(problem_of(tmp_path, mbpp(test_list=["assert distinct([9, 1, 8]) == {1, 8, 9}"])))
    values = ["{'b', 'a', 'c'}", "{'c', 'a', 'b'}", "{1: 2, 3: 4}", "{3: 4, 1: 2}", "1", "1.0", "True", "0.1 + 0.2",
              "0.3", "[1]", "(1,)", "'1'", "10 ** 5000", "float('nan')", "None"]  # fmt: skip
    partition = await grader.partition([f"def distinct(x):\n    return {value}" for value in values])
    assert partition.classes == [[0, 1], [2, 3], [4, 5, 6], [7, 8], [9], [10], [11], [12], [13], [14]]


async def test_without_examples_votes_go_by_the_program(tmp_path: Path) -> None:
    starter = 'def f(x):\n    """ Give x. """\n'
    problem = problem_of(tmp_path, humaneval(prompt=starter, entry_point="f", test="def check(f): assert f(1) == 1"))
    grader = hub.CODE.for_problem(problem)
    assert CodeTask.of(problem).behaviour_tests is None
    same = [
        "def f(x): return x",
        "def f(x):\n    # so\n    return (x)",
        "def f(x):\n  'Give x.'\n  return x",
        "def f(y): return y",
    ]
    assert (await grader.partition(same)).classes == [[0, 1, 2], [3]]


def test_a_prompt_of_nothing_but_brackets_is_read_in_bounds(tmp_path: Path) -> None:
    starter = f'def f(x):\n    """ {"f(" * 5_000}{")" * 5_000} {"f(x) " * 5_000}"""\n'
    problem = problem_of(tmp_path, humaneval(prompt=starter, entry_point="f", test="def check(f): pass"))
    assert CodeTask.of(problem).behaviour_tests is None


async def test_what_the_prompt_shows_is_what_a_valid_program_does(tmp_path: Path) -> None:
    head, described = problem_of(tmp_path, humaneval()), problem_of(tmp_path, mbpp())
    assert await hub.CODE.valid(head, GOOD)
    assert not await hub.CODE.valid(head, "def halves(numbers, times=1):\n    return numbers")
    assert await hub.CODE.valid(head, "def halves(numbers, times=1):\n    return [x / 2 ** times for x in numbers[:3]]")
    assert await hub.CODE.valid(described, "distinct = set")
    assert not await hub.CODE.valid(described, "distinct = list")


# --- The stand-in for numpy -------------------------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True, width=32), st.integers(-(10**6), 10**6), st.booleans(),
    st.sampled_from([0.0, 1.0, 1.0 + 1e-8, 1e-9, float("inf"), float("nan")]),
)  # fmt: skip


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=4), st.sampled_from([0.0, 1e-6, 0.5]), st.booleans())
@settings(max_examples=300, deadline=None)
def test_the_stand_in_says_what_numpy_says(pairs: list[tuple[Any, Any]], atol: float, same: bool) -> None:
    a = [x for x, _ in pairs]
    b = a if same else [y for _, y in pairs]
    for x, y in ((a, b), (tuple(a), b), ([a, a], [b, b]), (a, b[0] if b else 1.0), (b[0] if b else 1.0, a)):
        with np.errstate(all="ignore"):
            assert numpy_stand_in.allclose(x, y, rtol=1e-07, atol=atol) == np.allclose(x, y, rtol=1e-07, atol=atol)
            assert _raises(numpy_stand_in.testing.assert_allclose, x, y, atol) == _raises(
                np.testing.assert_allclose, x, y, atol
            )


def _raises(compare: Any, x: Any, y: Any, atol: float) -> bool:
    try:
        compare(x, y, atol=atol)
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize(
    ("a", "b"), [([1], [1, 2]), ("a", "a"), ([1, [2]], [1, 2]), (None, 1), ({1}, {1}), ([[1]], [1, 2])]
)
def test_what_is_no_number_is_not_compared(a: Any, b: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        numpy_stand_in.allclose(a, b)


# --- From the command line --------------------------------------------------------------------------------------------


def test_a_run_says_which_programs_could_not_be_run(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(
        "import numpy as np\nfrom widthwise.backends.tokenizers.pieces import PieceTokenizer\n"
        "from widthwise.core.backend import Capabilities, Delta\n\n\nclass Echo:\n"
        "    name, max_model_len, capabilities, tokenizer = 'echo', None, Capabilities(), PieceTokenizer()\n\n"
        "    async def generate(self, request):\n"
        "        text = '```python\\nimport numpy\\ndef halves(x): return x\\n```'\n"
        "        yield Delta(np.array(self.tokenizer.encode(text)), finish='stop')\n\n"
        "    def describe(self):\n        return {}\n\n    async def close(self): ...\n"
    )
    written(tmp_path / "own.jsonl", [humaneval()])
    command = [sys.executable, "-m", "widthwise", "eval", "humaneval_plus", "--data", "own.jsonl", "--model",
               "echo:Echo", "--strategy", "best_of_n(n=2) | majority_vote()", "--json"]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    summary = json.loads(done.stdout)
    assert (summary["accuracy"], summary["pass_at_n"], summary["samples"]) == (0.0, 0.0, 2)
    assert summary["notes"] == [
        ["a program that counts as wrong was not runnable here: importing 'numpy' is not allowed", 1]
    ]
