"""How fast answers are compared, and how fast math-verify is on the same pairs.

    python bench/grading_speed.py RECORDINGS... [--pairs 2000]

RECORDINGS are files of recorded generations. Prints pairs per processor second: on answers as they occur (including
repeated ones) and on distinct pairs, for this package and for math-verify (`verify(parse(gold), parse(answer))`,
formulas in dollars). Every answer starts unread; nothing else may run in the process.
"""

from __future__ import annotations

import argparse
import logging
import random
import time
from collections.abc import Callable, Sequence

from widthwise.evals.grading import leniency, meaning, understanding
from widthwise.evals.grading.equality import compare
from widthwise.evals.store.foreign import read_generations

Pairs = Sequence[tuple[str, str]]


def recorded(paths: Sequence[str]) -> list[tuple[str, str]]:
    """The reference and each sample's answer, in order."""
    return [
        (recording.problem.answer, sample.answer)
        for path in paths
        for recording in read_generations(path)
        for sample in recording.samples
        if recording.problem.answer and sample.answer
    ]


def ours(pairs: Pairs) -> int:
    for module in (leniency, meaning, understanding):
        for member in vars(module).values():
            if hasattr(member, "cache_clear"):
                member.cache_clear()
    return sum(compare(gold, answer).outcome == "same" for gold, answer in pairs)


def math_verify(pairs: Pairs) -> int:
    from math_verify import parse, verify

    return sum(bool(verify(parse(f"${gold}$"), parse(f"${answer}$"))) for gold, answer in pairs)


def rate(compared: Callable[[Pairs], int], pairs: Pairs) -> tuple[float, int]:
    """Pairs per processor second, and how many were called equal."""
    begun = time.process_time()
    equal = compared(pairs)
    return len(pairs) / (time.process_time() - begun), equal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", nargs="+")
    parser.add_argument("--pairs", type=int, default=2_000)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    pairs = recorded(given.recordings)
    distinct = sorted({pair for pair in pairs if pair[0] != pair[1]})
    samples = {
        "as they occur": random.Random(1).sample(pairs, min(given.pairs, len(pairs))),
        "distinct": random.Random(1).sample(distinct, min(given.pairs, len(distinct))),
    }
    math_verify([("1", "2")])  # loads its grammar
    for name, sample in samples.items():
        (here, equal), (there, equal_there) = rate(ours, sample), rate(math_verify, sample)
        print(
            f"{name}: {len(sample)} pairs; {here:.0f} a second ({equal} equal), math-verify {there:.0f} "
            f"({equal_there} equal): {here / there:.1f} times"
        )


if __name__ == "__main__":
    main()
