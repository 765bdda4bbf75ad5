"""Write the shipped test sets: `python scripts/write_suites.py evals/suites/data`. The same bytes every time."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from widthwise.core.problem import Problem
from widthwise.evals.suites import arithmetic, countdown, quantities, sudoku

SIZE = 200
SEED = 2026

SUITES: dict[str, Callable[[int, int], list[Problem]]] = {
    "arithmetic": arithmetic.generate,
    "countdown": countdown.generate,
    "quantities": quantities.generate,
    "sudoku": sudoku.generate,
}


def line(suite: str, problem: Problem) -> str:
    """A problem as one line of JSON; `source` is the call that draws it again."""
    record = {"id": problem.id, "problem": problem.text, "answer": problem.answer, **problem.metadata}
    return json.dumps(record | {"source": f"widthwise.evals.suites.{suite}.generate({SIZE}, {SEED})"}) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for suite, generate in SUITES.items():
        (folder / f"{suite}.jsonl").write_text("".join(line(suite, problem) for problem in generate(SIZE, SEED)))


if __name__ == "__main__":
    main()
