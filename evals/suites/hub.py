"""The benchmarks: where each lives on the Hugging Face hub, how its columns map, and how its answers are judged.

How the table was checked (it could not be tried against the hub itself when it was written): id, configuration, split
and columns of every dataset were read in public code or documentation that loads it; the number beside each row says
where. Licences are those of the repositories that the problems come from, not those of the hub copies.

[1] evaluation scripts that load HuggingFaceH4/MATH-500 (test; problem, answer, subject, level, unique_id) [2] scripts
that load openai/gsm8k, main (test; question, answer, cut at "####") [3] scripts that load Maxwell-Jia/AIME_2024 (train;
ID, Problem, Solution, Answer) [4] scripts that load MathArena/aime_2025, aime_2026 and hmmt_feb_2025 (train;
problem_idx, problem, answer) [5] scripts that load math-ai/amc23 (test; id, question, answer, url) and
math-ai/minervamath (test; question, answer).
    Not confirmed: whether amc23 writes answers as "27" or "27.0" (both are read alike)
[6] EvalScope's documentation (OE_TO_maths_en_COMP: train, 674 problems; the GitHub copy has 675) and lighteval's
    olympiade_bench.py (question, final_answer, is_multiple_answer, unit, answer_type, subject). Not confirmed: that the
    tolerance is in the column "error", as in the GitHub copy; without it the one such problem is judged exactly
[7] scripts and documentation that load Idavidrein/gpqa (gpqa_diamond, gpqa_main, gpqa_extended; train; Question,
    Correct Answer, Incorrect Answer 1 to 3, Record ID, Subdomain, High-level domain). The dataset is gated: accept its
    terms and log in
[8] the dataset card of TIGER-Lab/MMLU-Pro (test; question_id, question, options, answer, answer_index, category, src)
[9] the dataset cards of evalplus/humanevalplus (test, 164; task_id, prompt, canonical_solution, entry_point, test) and
    evalplus/mbppplus (test, 378; task_id, code, prompt, source_file, test_imports, test_list, test), and the scripts in
    evalplus/evalplus that write their tests
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from widthwise.backends.hub import hub_answers, offline, why_not
from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.core.registry import register
from widthwise.core.sandbox.sandbox import require_walls
from widthwise.evals.grading import extraction
from widthwise.evals.grading.choice import ChoiceGrader
from widthwise.evals.grading.code import CodeGrader
from widthwise.evals.grading.countdown import CountdownGrader
from widthwise.evals.grading.graders import MathGrader
from widthwise.evals.grading.sudoku import SudokuGrader
from widthwise.evals.gym import problems as gym_problems  # noqa: F401 - registers the suite
from widthwise.evals.gym.grader import GymGrader
from widthwise.evals.suites import arithmetic, countdown, quantities, sudoku
from widthwise.evals.suites.benchmark import Argument, Benchmark, Span
from widthwise.evals.suites.choice_rows import CHOOSE, choice_problem
from widthwise.evals.suites.code_rows import WRITE_CODE, code_problem

MATH = register("grader")(MathGrader("math"))
INTEGER = register("grader")(MathGrader("integer", extraction.INTEGER))
WORD_PROBLEM = register("grader")(MathGrader("word_problem", extraction.WORD_PROBLEM))
SCIENCE = register("grader")(MathGrader("science", relative=1e-4))  # as Qwen2.5-Math's grader and its many copies do
COUNTDOWN = register("grader")(CountdownGrader())
SUDOKU = register("grader")(SudokuGrader())
CHOICE = register("grader")(ChoiceGrader())
CODE = register("grader")(CodeGrader())
GYM = register("grader")(GymGrader())


def level(problem: Problem) -> int | None:
    """The level of a MATH problem: a number, or ``Level 3``."""
    found = re.fullmatch(r"(?:Level\s+)?(\d)", str(problem.metadata.get("level", "")))
    return int(found[1]) if found else None


def year(problem: Problem) -> int | None:
    """The year of a competition: its own column, or in the problem's id (``aime2024-I-1``, ``2024-II-4``)."""
    said = str(problem.metadata.get("year", problem.metadata.get("Year", "")))
    found = re.fullmatch(r"\d{4}", said) or re.search(r"(?<!\d)(?:19|20)\d\d(?!\d)", problem.id)
    return int(found[0]) if found else None


def _arithmetic(n: int = 200, seed: int = 0, level: int | None = None) -> list[Problem]:
    return arithmetic.generate(n, seed) if level is None else arithmetic.generate(n, seed, levels=(level,))


_MAA = "problems (c) MAA"
_HMMT = "problems (c) HMMT"
_ARENA = {"problem_idx": "id"}
_OLYMPIAD = {"is_multiple_answer": "multiple", "error": "tolerance"}
_TEXT_ONLY_ENGLISH = "OE_TO_maths_en_COMP"

# The micro reasoner was trained on bare problem texts: the bundled suites add no instruction.
COMPLETED = "Please reason step by step, and put the completed grid between <answer> and </answer>, one row per line."
"""The instruction of Sudoku."""

_SEED = Argument(range(2**63), 0)
_GENERATED = {"n": Argument(range(1, 10_001), 200), "seed": _SEED}
_RECORDED = "MIT (problems), Apache-2.0 (model)"
_BUNDLED = (
    Benchmark(
        "arithmetic", 200, INTEGER, "Apache-2.0", "generated: expressions of 2-10 operations", instruction="",
        generate=_arithmetic, arguments={**_GENERATED, "level": Argument(range(2, 13))},
    ),
    Benchmark(
        "countdown", 200, COUNTDOWN, "Apache-2.0", "generated: reach a target from 4 numbers", instruction="",
        generate=countdown.generate, arguments={**_GENERATED, "numbers": Argument(range(3, 7))},
    ),
    Benchmark(
        "quantities", 200, INTEGER, "Apache-2.0", "generated: quantities defined by one another, 2-16 operations",
        instruction="", generate=quantities.generate, trained="embedded:quantities",
        arguments={**_GENERATED, "levels": Span(range(1, 17)), "wide": Argument((False, True))},
    ),
    Benchmark(
        "sudoku", 200, SUDOKU, "Apache-2.0", "generated: complete a grid with one solution; sudoku(size=9) or 4",
        instruction=COMPLETED, generate=sudoku.generate,
        arguments={**_GENERATED, "size": Argument(sudoku.SIZES, 4), "blanks": Argument(range(1, 51))},
    ),
    Benchmark(
        "recorded_gsm8k", 40, WORD_PROBLEM, _RECORDED, "40 of GSM8K, 16 samples each of Qwen2.5-Coder-1.5B-Instruct",
        recorded=True,
    ),
    Benchmark(
        "recorded_math", 20, MATH, _RECORDED, "20 of MATH-500, levels 1-3, 8 samples each of the same model",
        recorded=True,
    ),
)  # fmt: skip

# name, problems, grader, licence, description, hub id, configuration, split, renamed columns; how it was checked
_ON_HUB = (
    Benchmark("aime2024", 30, INTEGER, _MAA, "AIME I and II 2024", "Maxwell-Jia/AIME_2024", None, "train"),  # [3]
    Benchmark("aime2025", 30, INTEGER, _MAA, "AIME I and II 2025", "MathArena/aime_2025", None, "train", _ARENA),  # [4]
    Benchmark("aime2026", 30, INTEGER, _MAA, "AIME I and II 2026", "MathArena/aime_2026", None, "train", _ARENA),  # [4]
    Benchmark("hmmt2025", 30, MATH, _HMMT, "HMMT Feb. 2025", "MathArena/hmmt_feb_2025", None, "train", _ARENA),  # [4]
    Benchmark("amc2023", 40, INTEGER, _MAA, "AMC 12 2023, integer answers", "math-ai/amc23", None, "test"),  # [5]
    Benchmark(  # [1]
        "math500", 500, MATH, "MIT", "MATH, five levels: math500(levels=[1, 2])", "HuggingFaceH4/MATH-500",
        arguments={"levels": Argument(range(1, 6), several=True)}, keeps={"levels": level},
    ),
    Benchmark("gsm8k", 1319, WORD_PROBLEM, "MIT", "grade-school word problems", "openai/gsm8k", "main", "test"),  # [2]
    Benchmark(  # [6]
        "olympiadbench", 674, MATH, "MIT", "olympiad mathematics, English, text only",
        "Hothan/OlympiadBench", _TEXT_ONLY_ENGLISH, "train", _OLYMPIAD,
    ),
    Benchmark(  # [5]
        "minerva", 272, SCIENCE, "not stated", "undergraduate science, MIT OpenCourseWare",
        "math-ai/minervamath", None, "test",
    ),
)  # fmt: skip

_AIME = {int(each.name[4:]): each for each in _ON_HUB if each.name.startswith("aime")}
_CATEGORIES = (
    "biology", "business", "chemistry", "computer science", "economics", "engineering", "health", "history", "law",
    "math", "other", "philosophy", "physics", "psychology",
)  # fmt: skip
_ON_HUB_TOO = (
    Benchmark(
        "aime", 90, INTEGER, _MAA, "AIME of several years: aime(years=[2024, 2025])", members=_AIME, chooses="years",
        arguments={"years": Argument(range(1983, 2027), tuple(_AIME), True)}, keeps={"years": year},
    ),
    Benchmark(  # [7]
        "gpqa", 198, CHOICE, "CC BY 4.0, gated", "science, 4 options (chance 25 %): gpqa(subset='main', seed=1)",
        "Idavidrein/gpqa", "gpqa_{subset}", "train", instruction=CHOOSE, layout=choice_problem, reads=("seed",),
        arguments={"subset": Argument(("diamond", "main", "extended"), "diamond"), "seed": _SEED},
    ),
    Benchmark(  # [8]
        "mmlu_pro", 12032, CHOICE, "MIT", "14 subjects, up to 10 options: mmlu_pro(categories=['law'])",
        "TIGER-Lab/MMLU-Pro", None, "test", instruction=CHOOSE, layout=choice_problem,
        arguments={"categories": Argument(_CATEGORIES, several=True)},
        keeps={"categories": lambda problem: problem.metadata.get("category")},
    ),
    Benchmark(  # [9]
        "humaneval_plus", 164, CODE, "Apache-2.0", "Python functions, from their heads, with unit tests",
        "evalplus/humanevalplus", None, "test", instruction=WRITE_CODE, layout=code_problem, needs=require_walls,
    ),
    Benchmark(  # [9]
        "mbpp_plus", 378, CODE, "Apache-2.0", "Python functions, from descriptions, with unit tests",
        "evalplus/mbppplus", None, "test", instruction=WRITE_CODE, layout=code_problem, needs=require_walls,
    ),
)  # fmt: skip

BENCHMARKS: Mapping[str, Benchmark] = {
    each.name: register("suite")(each) for each in (*_BUNDLED, *_ON_HUB, *_ON_HUB_TOO)
}
"""The built-in ones: a problem's id and a run file may name them, whoever wrote it."""


def hub_rows(benchmark: Benchmark, arguments: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The numbered rows of a hub benchmark under our column names.

    Raises UsageError, naming the way out, when the hub cannot be reached or the dataset has changed.
    """
    config = benchmark.config and benchmark.config.format(**arguments)
    there = hub_answers()
    try:
        import datasets

        with offline(not there):
            rows = datasets.load_dataset(str(benchmark.path), config, split=benchmark.split)
    except Exception as error:  # whatever the network, the hub or the cache did
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0] if there else why_not()
        raise UsageError(
            f"{benchmark.name} could not be loaded from the Hugging Face hub ({benchmark.path}: {reason}); "
            f"give a local copy with --data FILE (JSON Lines, Parquet, CSV or JSON)"
        ) from error
    for number, row in enumerate(rows, 1):
        yield number, {benchmark.columns.get(name, name): value for name, value in row.items()}
