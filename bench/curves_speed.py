"""How fast a budget curve is: exact pass@k, maj@k and best@k at every k, with bootstrap bands.

    python bench/curves_speed.py [--problems 500] [--samples 256] [--replicates 1000]

Prints processor seconds (of one core: BLAS is limited to one thread), the time per trace relative to half as many
problems (1.0 is linear), and peak memory.
"""

from __future__ import annotations

import argparse
import os
import resource
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from widthwise.evals.measure.curves import lines
from widthwise.evals.measure.sample_pool import SamplePool


def made(problems: int, samples: int, seed: int = 0) -> list[SamplePool]:
    """Pools as a reasoning model produces them: accuracies of all sizes, a few popular wrong answers, a long tail."""
    rng = np.random.default_rng(seed)
    pools = []
    for i in range(problems):
        share, answers = rng.beta(0.6, 0.6), rng.dirichlet(np.full(40, 0.2))
        wrong = rng.choice(np.arange(1, 41), samples, p=answers)
        votes = np.where(rng.random(samples) < share, 0, wrong)
        votes[rng.random(samples) < 0.05] = -1
        tokens = rng.lognormal(8, 0.5, samples)
        scores = {"reward": rng.random(samples)}
        pools.append(SamplePool(f"p{i}", votes, (votes == 0) * 1.0, tokens, np.ones(samples, bool), scores))
    return pools


def timed(pools: list[SamplePool], methods: list[str], replicates: int) -> float:
    began = time.process_time()
    lines(pools, methods, replicates=replicates)
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--replicates", type=int, default=1000)
    given = parser.parse_args()
    exact = ["pass", "maj", "best:reward"]
    pools = made(given.problems, given.samples)
    half = timed(pools[: len(pools) // 2], exact, given.replicates)
    whole = timed(pools, exact, given.replicates)
    print(f"{given.problems} problems x {given.samples} samples x {given.replicates} replicates, all k:")
    print(f"  exact (pass, maj, best)  {whole:6.2f} s")
    print(f"  time per trace against half as many problems: {whole / (2 * half):.2f}")
    print(f"  Monte-Carlo (weighted)   {timed(pools, ['weighted:reward'], given.replicates):6.2f} s")
    print(f"  peak memory              {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:6.0f} MB")


if __name__ == "__main__":
    main()
