"""Evaluate once, keep every trace, and vote on the recorded samples in another way."""

import subprocess
import sys
import tempfile
from pathlib import Path


def widthwise(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "widthwise", *arguments], check=True, capture_output=True, text=True
    ).stdout


with tempfile.TemporaryDirectory() as folder:
    run, again = str(Path(folder) / "run.db"), str(Path(folder) / "again.db")
    widthwise("eval", "arithmetic", "--limit", "6", "--strategy", "best_of_n(n=4) | majority_vote()", "--run", run)
    by_likelihood = "best_of_n(n=4) | best_by('mean_logprob')"
    widthwise("eval", "--data", run, "--model", f"replay:{run}", "--strategy", by_likelihood, "--run", again)
    print(widthwise("compare", run, again))
