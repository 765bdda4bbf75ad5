"""What remembering scored prefixes saves a tree search, in tokens read and time, compared with scoring every text anew.

    python bench/step_scoring.py [--problems 8] [--width 8] [--depth 6] [--model FOLDER]

Each problem grows a beam: at every depth each of ``width`` solutions gets one more step, and all are scored. Any Llama
checkpoint will do (the bundled reasoner by default): the scores themselves do not matter here.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path

from widthwise.backends.embedded.backend import EmbeddedBackend
from widthwise.core.problem import Problem
from widthwise.core.rewards.language_reward import LanguageRewardModel
from widthwise.core.rewards.reward import Solution
from widthwise.core.rewards.reward_format import RewardFormat

MODEL = Path(__file__).parents[1] / "models" / "reasoner"
LINES = RewardFormat("lines", tag="\n\n")


def beam(width: int, depth: int) -> list[list[tuple[str, ...]]]:
    """The solutions at each depth; each continues one of the depth before."""
    steps = [[f"{17 + i} + {5 + d} = {22 + i + d}, left {3 + d} {20 + i}" for d in range(depth)] for i in range(width)]
    return [[tuple(solution[: d + 1]) for solution in steps] for d in range(depth)]


async def scored(model: LanguageRewardModel, problem: Problem, levels: list[list[tuple[str, ...]]], keep: bool) -> int:
    """Tokens read for one problem; with ``keep``, the scores of shorter solutions are given to the model."""
    tokens, known = 0, dict[tuple[str, ...], tuple[float, ...]]()
    for level in levels:
        asked = [Solution(steps, known.get(steps[:-1], ()) if keep else ()) for steps in level]
        for steps, scores in zip(level, await model.score(problem, asked), strict=True):
            known[steps] = scores.steps or ()
            tokens += scores.tokens
    return tokens


async def measured(arguments: argparse.Namespace, keep: bool) -> tuple[int, float]:
    engine = EmbeddedBackend(arguments.model)
    model = LanguageRewardModel(engine, LINES)
    levels = beam(arguments.width, arguments.depth)
    problems = [
        Problem(f"p{n}", f"Use the numbers {n + 2}, 5, 17 and 20 to make 35.") for n in range(arguments.problems)
    ]
    began = time.process_time()
    tokens = await asyncio.gather(*(scored(model, problem, levels, keep) for problem in problems))
    took = time.process_time() - began
    await engine.close()
    return sum(tokens), took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=8)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--depth", type=int, default=6)
    parser.add_argument("--model", type=Path, default=MODEL)
    arguments = parser.parse_args()
    anew, anew_seconds = asyncio.run(measured(arguments, keep=False))
    kept, kept_seconds = asyncio.run(measured(arguments, keep=True))
    print(f"every text anew:       {anew:8,} tokens, {anew_seconds:6.2f} s of one core")
    print(f"scored prefixes kept:  {kept:8,} tokens, {kept_seconds:6.2f} s of one core")
    print(f"ratio: {anew / kept:.1f} in tokens, {anew_seconds / kept_seconds:.1f} in time")


if __name__ == "__main__":
    main()
