"""How fast DeepConf's confidence is: over one long trace at once, and token by token while it grows.

    python bench/confidence_speed.py [--tokens 32768] [--window 2048] [--top 20]

Prints the median and the best of several runs, in milliseconds.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from widthwise.core.backend import TokenStats
from widthwise.core.scores.confidence import (
    SlidingConfidence,
    bottom_percent,
    lowest_group,
    mean,
    tail,
    token_confidence,
)


def made(tokens: int, top: int) -> TokenStats:
    """Statistics of a trace of random distributions."""
    logits = np.random.default_rng(0).gumbel(size=(tokens, top)).astype(np.float32)
    logprobs = -np.sort(-(logits * 3 - 10), axis=1)
    return TokenStats(logprobs[:, 0].copy(), np.zeros((tokens, top), np.int64), logprobs)


def timed(work: Callable[[], object], runs: int = 50) -> tuple[float, float]:
    """Median and best time of ``work`` in milliseconds."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - began))
    return float(np.median(times)), min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=32768)
    parser.add_argument("--window", type=int, default=2048)
    parser.add_argument("--top", type=int, default=20)
    given = parser.parse_args()
    stats = made(given.tokens, given.top)
    confidence = token_confidence(stats)

    def whole() -> None:
        confidence = token_confidence(stats)
        lowest_group(confidence, given.window)
        bottom_percent(confidence, given.window)
        tail(confidence, given.window)
        mean(confidence)

    def growing() -> None:
        sliding = SlidingConfidence(given.window)
        for start in range(0, given.tokens, 16):
            sliding.take(token_confidence(stats.part(slice(start, start + 16))))

    def lowest() -> None:
        lowest_group(token_confidence(stats), given.window)

    print(f"{given.tokens} tokens, top {given.top}, windows of {given.window}:     median     best")
    for name, work, runs in (
        ("tokens and lowest group", lowest, 50),
        ("tokens and all four measures", whole, 50),
        ("as it grows, 16 tokens at a time", growing, 5),
    ):
        median, best = timed(work, runs)
        print(f"  {name:40} {median:9.2f} {best:8.2f} ms")
    sliding = SlidingConfidence(given.window)
    sliding.take(confidence)
    median, _ = timed(lambda: sliding.take(confidence[:1]), 2000)
    print(f"  one more token                           {1e3 * median:9.2f} µs, whatever came before")


if __name__ == "__main__":
    main()
