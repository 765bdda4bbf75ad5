"""How to read and grade problems for which no suite was named: as their columns, facts and answers show."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from widthwise.core.brief import counted
from widthwise.core.problem import Grader, Problem
from widthwise.core.sandbox.sandbox import require_walls
from widthwise.evals.grading.mixed import MixedGrader
from widthwise.evals.grading.unit_tests import CodeTask, is_code
from widthwise.evals.grading.values import is_integer
from widthwise.evals.gym.grader import is_gym
from widthwise.evals.gym.problems import ANSWER_TAGS
from widthwise.evals.suites.benchmark import BOXED, Benchmark
from widthwise.evals.suites.choice_rows import CHOOSE, RIGHT, WRONG
from widthwise.evals.suites.code_rows import WRITE_CODE
from widthwise.evals.suites.columns import Row
from widthwise.evals.suites.hub import BENCHMARKS, CHOICE, CODE, COUNTDOWN, GYM, INTEGER, MATH

_log = logging.getLogger(__name__)


def shown_by(row: Row) -> Benchmark | None:
    """The suite whose columns a row has, unless they are those of any question with an answer."""
    if RIGHT in row and any(str(name).startswith(WRONG) for name in row):
        return BENCHMARKS["gpqa"]
    if row.get("options") is not None or row.get("choices") is not None:
        return BENCHMARKS["mmlu_pro"]
    if row.get("test") is not None and row.get("entry_point") is not None:
        return BENCHMARKS["humaneval_plus"]
    return BENCHMARKS["mbpp_plus"] if row.get("test_list") is not None and row.get("code") is not None else None


def told_from(problems: Sequence[Problem]) -> Benchmark:
    """How to grade problems of an unnamed file: by their tasks if these show, else by the form of all their answers."""
    tasks = [task_of(problem) for problem in problems]
    if tasks[0] and all(task == tasks[0] for task in tasks):
        return tasks[0]
    others = [problem for problem, task in zip(problems, tasks, strict=True) if task is None]
    integers = all(is_integer(problem.answer or "") for problem in others)
    return Benchmark("file", len(problems), INTEGER if integers else MATH, "", "", instruction=BOXED)


def task_of(problem: Problem) -> Benchmark | None:
    """The task that a problem shows itself: the suite that its id names, or countdown's numbers and target."""
    if named := BENCHMARKS.get(problem.id.split("-")[0]):
        return named
    if isinstance(problem.metadata.get("options"), list | tuple):
        return Benchmark("file", 1, CHOICE, "", "", instruction=CHOOSE)
    if is_gym(problem):
        return Benchmark("file", 1, GYM, "", "", instruction=ANSWER_TAGS, needs=require_walls)
    if is_code(problem):
        return Benchmark("file", 1, CODE, "", "", instruction=WRITE_CODE, needs=require_walls)
    numbers = problem.metadata.get("numbers")
    if isinstance(numbers, list | tuple) and ("target" in problem.metadata or is_integer(problem.answer or "")):
        return Benchmark("file", 1, COUNTDOWN, "", "", instruction="")
    return None


def judge(problems: Sequence[Problem], benchmark: Benchmark) -> Grader:
    """The benchmark's grader, but with each problem of another task graded by its own."""
    tasks = {p.id: task.grader for p in problems if (task := task_of(p)) and task.grader != benchmark.grader}
    return MixedGrader(tasks, benchmark.grader) if tasks else benchmark.grader


def stand_in_for(problems: Sequence[Problem]) -> str:
    """The remark for unit tests that compare with numpy, which the sandbox does not have."""
    count = sum(is_code(problem) and CodeTask.of(problem).numpy_stands_in for problem in problems)
    if not count:
        return ""
    _log.warning(
        "numbers are compared with numpy in the tests of %s: a stand-in does it (docs/suites.md)",
        counted(count, "problem"),
    )
    return "; a stand-in replaces numpy's comparisons in its tests"
