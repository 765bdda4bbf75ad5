"""How long a million stored samples take: import into a run file, then vote and curve from it.

    python bench/million_samples.py [--problems 4000] [--samples 250]

Each step runs in a separate process; prints its seconds (wall-clock and processor) and peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

STEPS = ("import", "curve")


def write(path: Path, problems: int, samples: int) -> None:
    """Recorded generations of short texts, with answers and labels."""
    rng = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as file:
        for i in range(problems):
            answers = rng.choice(20, samples, p=rng.dirichlet(np.full(20, 0.3)))
            rows = [{"text": f"so \\boxed{{{a}}}", "answer": str(a), "correct": bool(a == 0)} for a in answers]
            row = {"problem_id": f"p{i}", "problem": f"Question {i}?", "answer": "0", "samples": rows}
            file.write(json.dumps(row) + "\n")


def step(name: str, recording: str, run: str) -> None:
    """One step, and its cost."""
    began = time.perf_counter()
    if name == "import":
        from widthwise.evals.store.exchange import import_recordings

        import_recordings(recording, run)
    else:
        from widthwise.evals.measure.curves import curve

        curve(run)
    cpu = resource.getrusage(resource.RUSAGE_SELF)
    seconds, peak = cpu.ru_utime + cpu.ru_stime, cpu.ru_maxrss / 1024
    print(
        f"  {name:7} {time.perf_counter() - began:6.1f} s wall  {seconds:6.1f} s processor  {peak:6.0f} MB", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=4000)
    parser.add_argument("--samples", type=int, default=250)
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        step(*given.step)
        return
    print(f"{given.problems * given.samples:,} samples of {given.problems:,} problems:", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        recording, run = Path(folder) / "samples.jsonl", Path(folder) / "run.db"
        write(recording, given.problems, given.samples)
        for name in STEPS:
            subprocess.run([sys.executable, __file__, "--step", name, str(recording), str(run)], check=True)
        print(f"  run file {run.stat().st_size / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
