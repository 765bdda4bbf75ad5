"""How many wrong answers the grader accepts: every reference answer of the suites, changed in one place.

    python bench/grading_mutations.py BENCHMARKS [--each 12] [--limit N] [--seed 0]

BENCHMARKS is a folder of problem files named like the suites. Each distinct reference answer (the first N of a suite)
is changed by a fixed list of operators (mutations.py); at most EACH changes of one answer are tried per operator. A
change counts if SymPy, which the grader does not use, finds a different value (independent_values.py), or if it is
wrong by construction. Prints the accepted ones, each with the rule that accepted it, and the counts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mutations import Mutation, mutations

from widthwise.core.problem import Problem
from widthwise.evals.grading.graders import MathGrader, read_tolerance
from widthwise.evals.suites.suites import load_suite

FILES = {
    "aime2024": "aime2024", "aime2025": "aime2025", "aime2026": "aime2026", "amc2023": "amc2023",
    "hmmt2025_feb": "hmmt2025", "math500": "math500", "gsm8k_test": "gsm8k",
    "olympiadbench_maths_en": "olympiadbench", "minerva_math": "minerva",
}  # fmt: skip
Case = tuple[str, Problem, MathGrader, Mutation]


def cases(folder: Path, each: int, limit: int | None, rng: random.Random) -> list[Case]:
    """Changed reference answers, each with its problem and grader; a reference that occurs twice counts once."""
    found: list[Case] = []
    for file, suite_name in FILES.items():
        suite = load_suite(suite_name, folder / f"{file}.jsonl")
        grader = suite.grader
        assert isinstance(grader, MathGrader)
        for problem in list({str(p.answer): p for p in suite.problems}.values())[:limit]:
            by_operator: dict[str, list[Mutation]] = {}
            for mutation in mutations(str(problem.answer)):
                by_operator.setdefault(mutation.operator, []).append(mutation)
            for made in by_operator.values():
                found += [(suite_name, problem, grader, m) for m in rng.sample(made, min(each, len(made)))]
    return found


def verified(pairs: Sequence[tuple[str, str, float, float]]) -> list[str]:
    """What the independent evaluator says of each pair."""
    said: list[str] = []
    while len(said) < len(pairs):
        request = json.dumps(pairs[len(said) :])
        program = [sys.executable, str(Path(__file__).with_name("independent_values.py"))]
        done = subprocess.run(program, input=request, capture_output=True, text=True)
        said += map(json.loads, done.stdout.splitlines())
        if len(said) < len(pairs):
            said.append("unknown")
    return said


def wrong(found: Sequence[Case]) -> list[Case]:
    """The cases that are known to be wrong."""
    checks = [
        (*m.check, grader.relative, read_tolerance(problem.metadata.get("tolerance"), problem.id))
        for _, problem, grader, m in found
        if m.check
    ]
    said = iter(verified(checks))
    return [case for case in found if case[3].check is None or next(said) == "different"]


async def accepted(found: Sequence[Case]) -> list[tuple[Case, str]]:
    """The cases that the grader calls right, with the rule that accepted them."""
    taken = []
    for case in found:
        _, problem, grader, mutation = case
        answer = grader.extract(f"\\boxed{{{mutation.text}}}")
        if answer is not None and (verdict := await grader.verdict(problem, answer)).outcome == "same":
            taken.append((case, verdict.rule))
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmarks", type=Path)
    parser.add_argument("--each", type=int, default=12)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    made = cases(given.benchmarks, given.each, given.limit, random.Random(given.seed))
    tried = wrong(made)
    taken = asyncio.run(accepted(tried))
    for (suite, problem, _, mutation), rule in taken:
        print(f"{suite} {problem.id} {mutation.operator}: {problem.answer}  =  {mutation.text}  [{rule}]")
    print(f"{len(made)} changed answers, {len(tried)} verified to be wrong, {len(taken)} accepted")
    by_operator = Counter(m.operator for *_, m in tried)
    print("tried by operator: " + ", ".join(f"{name} {count}" for name, count in by_operator.most_common()))


if __name__ == "__main__":
    main()
