"""Runs of the command line that are killed without warning, and what their files contain then."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

Samples = dict[tuple[str, str], tuple[str, int]]
"""What was sampled, by problem and trace: the text and its seed."""


def samples(run: Path) -> Samples:
    """All samples in a run's file; empty if there is no file yet."""
    try:
        with closing(sqlite3.connect(f"{run.as_uri()}?mode=ro", uri=True)) as db:
            rows = db.execute("SELECT problem, trace, text, seed FROM segments WHERE origin = 'sampled'").fetchall()
    except sqlite3.Error:
        return {}
    return {(problem, trace): (text, seed) for problem, trace, text, seed in rows}


def command(words: Sequence[str], run: Path) -> list[str]:
    return [sys.executable, "-m", "widthwise", "eval", *words, "--run", str(run)]


def ran(words: Sequence[str], run: Path) -> Samples:
    """The samples in the file after the command has finished."""
    done = subprocess.run(command(words, run), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return samples(run)


def killed(words: Sequence[str], run: Path, after: int) -> Samples:
    """The samples in the file of a run that was killed once it had ``after`` samples."""
    process = subprocess.Popen(command(words, run), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(samples(run)) < after:
        time.sleep(0.02)
    process.kill()
    assert process.wait() != 0, "the run ended before it could be killed"
    return samples(run)
