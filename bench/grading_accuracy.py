"""How often the grader is right on labelled answers, as compared with math-verify, and how well it reads references.

    python bench/grading_accuracy.py DATA [--show]

DATA holds answers/ (labelled pairs and reports) and benchmarks/ (problem files). Prints, for the reports' clear cases
and for the older pairs, how many each grader judges as labelled and how many wrong answers it accepts; then for every
suite how many references equal themselves and are fully understood. --show lists what is judged otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from widthwise.core.problem import Problem
from widthwise.evals.grading.equality import canonical
from widthwise.evals.grading.graders import MathGrader, equivalent
from widthwise.evals.grading.second_opinion import math_verify
from widthwise.evals.suites.hub import INTEGER, MATH, WORD_PROBLEM
from widthwise.evals.suites.suites import load_suite

GRADERS = {"answer": MATH, "text:math": MATH, "text:integer": INTEGER, "text:word": WORD_PROBLEM}
PAIRS = ("answer_pairs_test_suites.jsonl", "answer_pairs_model_outputs.jsonl")
SUITES = {
    "aime2024": "aime2024", "aime2025": "aime2025", "aime2026": "aime2026", "amc2023": "amc2023",
    "hmmt2025_feb": "hmmt2025", "math500": "math500", "gsm8k_test": "gsm8k",
    "olympiadbench_maths_en": "olympiadbench", "minerva_math": "minerva",
}  # fmt: skip


class Case(NamedTuple):
    """A text to judge, and what a careful reader says."""

    gold: str
    text: str
    right: bool
    grader: MathGrader | None
    kind: str


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.open(encoding="utf-8")]


def reports(folder: Path) -> list[Case]:
    rows = lines(folder / "answer_reports.jsonl")
    return [
        Case(row["gold"], text_of(row), row["expected"], GRADERS[row["mode"]], row["kind"])
        for row in rows
        if not row["debatable"]
    ]


def text_of(row: dict[str, Any]) -> str:
    return f"\\boxed{{{row['output']}}}" if row["mode"] == "answer" else str(row["output"])


def older(folder: Path, hand: bool) -> list[Case]:
    rows = [row for name in (PAIRS if hand else PAIRS[:1]) for row in lines(folder / name)]
    chosen = [row for row in rows if not hand or row["label"] == "hand"]
    return [Case(row["gold"], row["pred"], row["equal"], None, row["label"]) for row in chosen]


async def ours(case: Case) -> bool:
    if case.grader is None:
        return equivalent(case.gold, case.text)
    answer = case.grader.extract(case.text)
    return answer is not None and await case.grader.correct(Problem("p", "?", case.gold), answer)


async def judged(name: str, cases: Sequence[Case], show: bool) -> None:
    here = [await ours(case) for case in cases]
    there = math_verify(
        [(case.gold, case.text if "$" in case.text or case.grader else f"${case.text}$") for case in cases]
    )
    for who, verdicts in (("widthwise", here), ("math-verify", there)):
        right = sum(bool(v) == case.right for v, case in zip(verdicts, cases, strict=True))
        accepted = sum(bool(v) and not case.right for v, case in zip(verdicts, cases, strict=True))
        wrong = sum(not case.right for case in cases)
        print(f"{name}, {who}: {right} of {len(cases)} as labelled, {accepted} of {wrong} wrong ones accepted")
    if show:
        for verdict, case in zip(here, cases, strict=True):
            if verdict != case.right:
                print(f"    {case.kind}: {case.gold!r}, {case.text[-100:]!r} judged {verdict}")


async def understood(folder: Path) -> None:
    for file, name in SUITES.items():
        suite = load_suite(name, folder / f"{file}.jsonl")
        itself, whole = 0, []
        for problem in suite.problems:
            answer = suite.grader.extract(f"\\boxed{{{problem.answer}}}")
            itself += answer is not None and await suite.grader.correct(problem, answer)
            whole.append(canonical(str(problem.answer)).whole)
        print(f"{name}: {itself} of {len(whole)} references equal themselves, {sum(whole)} are understood whole")
        for problem, complete in zip(suite.problems, whole, strict=True):
            if not complete:
                print(f"    {problem.id}: {problem.answer}")


async def measure(data: Path, show: bool) -> None:
    await judged("reports, clear cases", reports(data / "answers"), show)
    await judged("older pairs, by hand", older(data / "answers", hand=True), show)
    await judged("older pairs, test suites", older(data / "answers", hand=False), show)
    await understood(data / "benchmarks")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--show", action="store_true")
    given = parser.parse_args()
    asyncio.run(measure(given.data, given.show))


if __name__ == "__main__":
    main()
