"""The benchmarks: where each lives on the Hugging Face hub, how its columns map, and how its answers are judged.

How the table was checked (it could not be tried against the hub itself from where it was written): id, configuration,
split and columns of every dataset were read in public code or documentation that loads it; the number beside each row
says where. Licences are those of the repositories that the problems come from, not those of the hub copies.

[1] evaluation scripts that load HuggingFaceH4/MATH-500 (test; problem, answer, subject, level, unique_id)
[2] scripts that load openai/gsm8k, main (test; question, answer, cut at "####")
[3] scripts that load Maxwell-Jia/AIME_2024 (train; ID, Problem, Solution, Answer)
[4] scripts that load MathArena/aime_2025, aime_2026 and hmmt_feb_2025 (train; problem_idx, problem, answer)
[5] scripts that load math-ai/amc23 (test; id, question, answer, url) and math-ai/minervamath (test; question, answer).
    Not confirmed: whether amc23 writes answers as "27" or "27.0" (both are read alike)
[6] EvalScope's documentation (OE_TO_maths_en_COMP: train, 674 problems; the GitHub copy has 675) and lighteval's
    olympiade_bench.py (question, final_answer, is_multiple_answer, unit, answer_type, subject). Not confirmed: that the
    tolerance is in the column "error", as in the GitHub copy; without it the one such problem is judged exactly
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.problem import Grader, Problem
from widthwise.core.registry import register
from widthwise.evals.grading import extraction
from widthwise.evals.grading.countdown import CountdownGrader
from widthwise.evals.grading.graders import MathGrader
from widthwise.evals.suites import arithmetic, countdown

BOXED = "Please reason step by step, and put your final answer within \\boxed{}."

MATH = register("grader")(MathGrader("math"))
INTEGER = register("grader")(MathGrader("integer", extraction.INTEGER))
WORD_PROBLEM = register("grader")(MathGrader("word_problem", extraction.WORD_PROBLEM))
SCIENCE = register("grader")(MathGrader("science", relative=1e-4))  # as Qwen2.5-Math's grader and its many copies do
COUNTDOWN = register("grader")(CountdownGrader())


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A suite that has a name. ``path`` is its hub id, None where it is bundled.

    ``generate`` makes problems of the ``arguments`` that stand in a suite's brackets, each within its range.
    ``columns`` renames hub columns to those of :mod:`widthwise.evals.suites.rows`; the common names need no entry.
    ``instruction`` is appended to the problem text.
    """

    name: str
    size: int
    grader: Grader
    licence: str
    description: str
    path: str | None = None
    config: str | None = None
    split: str = "test"
    columns: Mapping[str, str] = field(default_factory=dict)
    instruction: str = BOXED
    generate: Callable[..., list[Problem]] | None = None
    arguments: Mapping[str, range] = field(default_factory=dict)

    @property
    def source(self) -> str:
        return f"hub: {self.path}{f' ({self.config})' if self.config else ''}" if self.path else "bundled"


def _arithmetic(n: int = 200, seed: int = 0, level: int | None = None) -> list[Problem]:
    return arithmetic.generate(n, seed) if level is None else arithmetic.generate(n, seed, levels=(level,))


_MAA = "problems (c) MAA"
_HMMT = "problems (c) HMMT"
_ARENA = {"problem_idx": "id"}
_OLYMPIAD = {"is_multiple_answer": "multiple", "error": "tolerance"}
_TEXT_ONLY_ENGLISH = "OE_TO_maths_en_COMP"

# The micro reasoner was trained on bare problem texts: the bundled suites add no instruction.
_GENERATED = {"n": range(1, 10_001), "seed": range(2**63)}
_BUNDLED = (
    Benchmark(
        "arithmetic", 200, INTEGER, "Apache-2.0", "generated: expressions of 2-8 operations", instruction="",
        generate=_arithmetic, arguments={**_GENERATED, "level": range(2, 13)},
    ),
    Benchmark(
        "countdown", 200, COUNTDOWN, "Apache-2.0", "generated: reach a target from 4 numbers", instruction="",
        generate=countdown.generate, arguments={**_GENERATED, "numbers": range(3, 7)},
    ),
)  # fmt: skip

# name, problems, grader, licence, description, hub id, configuration, split, renamed columns; how it was checked
_ON_HUB = (
    Benchmark("aime2024", 30, INTEGER, _MAA, "AIME I and II 2024", "Maxwell-Jia/AIME_2024", None, "train"),  # [3]
    Benchmark("aime2025", 30, INTEGER, _MAA, "AIME I and II 2025", "MathArena/aime_2025", None, "train", _ARENA),  # [4]
    Benchmark("aime2026", 30, INTEGER, _MAA, "AIME I and II 2026", "MathArena/aime_2026", None, "train", _ARENA),  # [4]
    Benchmark("hmmt2025", 30, MATH, _HMMT, "HMMT Feb. 2025", "MathArena/hmmt_feb_2025", None, "train", _ARENA),  # [4]
    Benchmark("amc2023", 40, INTEGER, _MAA, "AMC 12 2023, integer answers", "math-ai/amc23", None, "test"),  # [5]
    Benchmark("math500", 500, MATH, "MIT", "MATH, five levels", "HuggingFaceH4/MATH-500", None, "test"),  # [1]
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

BENCHMARKS: Mapping[str, Benchmark] = {each.name: register("suite")(each) for each in (*_BUNDLED, *_ON_HUB)}
"""The built-in ones: a problem's id and a run's file may name them, whoever wrote it."""


def hub_rows(benchmark: Benchmark) -> Iterator[tuple[int, dict[str, Any]]]:
    """The numbered rows of a hub benchmark under our column names.

    Raises UsageError, naming the way out, when the hub cannot be reached or the dataset has changed.
    """
    try:
        import datasets

        rows = datasets.load_dataset(str(benchmark.path), benchmark.config, split=benchmark.split)
    except Exception as error:  # whatever the network, the hub or the cache did
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"{benchmark.name} could not be loaded from the Hugging Face hub ({benchmark.path}: {reason}); "
            f"give a local JSON Lines or Parquet copy with --data FILE"
        ) from error
    for number, row in enumerate(rows, 1):
        yield number, {benchmark.columns.get(name, name): value for name, value in row.items()}
