"""How many generators of reasoning-gym give their own reference answer the score 1 inside the walls.

python bench/gym_coverage.py
"""

from __future__ import annotations

import asyncio

from widthwise.core.errors import UsageError
from widthwise.evals.gym.grader import GymGrader
from widthwise.evals.gym.server import SERVER
from widthwise.evals.suites.suites import load_suite


async def judged(name: str) -> str:
    """The verdict on the reference of one problem of a generator."""
    try:
        problem = load_suite(f"gym:{name}(n=2, seed=3)").problems[1]
    except UsageError as error:
        return str(error)
    if problem.answer is None:
        return "names no reference"
    return (await GymGrader().verdict(problem, problem.answer)).rule


async def main() -> None:
    names = SERVER.ask(60.0, do="make", name="", config={})["value"]["names"]
    verdicts = {name: await judged(name) for name in names}
    right = [name for name, verdict in verdicts.items() if verdict == "its scorer gives 1 of 1"]
    print(f"{len(right)} of {len(names)} generators give their reference 1")
    for name in names:
        if name not in right:
            print(f"{name}: {verdicts[name]}")


if __name__ == "__main__":
    asyncio.run(main())
