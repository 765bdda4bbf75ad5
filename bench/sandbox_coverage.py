"""How many reference programs of a code suite pass their own tests in the sandbox, and why the others do not.

    python bench/sandbox_coverage.py humaneval_plus --data HumanEvalPlus.jsonl

Without ``--data`` the suite comes from the Hugging Face hub. The original HumanEval (openai/human-eval,
data/HumanEval.jsonl.gz, unpacked) has the same columns.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from pathlib import Path

from widthwise.evals.grading.code import CodeGrader
from widthwise.evals.suites.suite import Suite
from widthwise.evals.suites.suites import load_suite


async def coverage(suite: Suite) -> None:
    """Print the verdicts on the references, and how many problems have calls to vote by."""
    outcomes: Counter[str] = Counter()
    calls = 0
    for problem in suite.problems:
        grader = suite.grader.for_problem(problem)
        assert isinstance(grader, CodeGrader)
        assert grader.task is not None
        verdict = await grader.verdict(problem, problem.answer or "")
        outcomes[verdict.outcome] += 1
        calls += grader.task.behaviour_tests is not None
        if verdict.outcome != "same":
            print(f"{problem.id}: {verdict.rule}")
    print(f"{suite.name}: {outcomes['same']} of {len(suite.problems)} references pass; {calls} prompts show calls")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=["humaneval_plus", "mbpp_plus"])
    parser.add_argument("--data", type=Path)
    chosen = parser.parse_args()
    asyncio.run(coverage(load_suite(chosen.suite, chosen.data)))


if __name__ == "__main__":
    main()
