"""Runs of the command line that stop themselves, to be killed without warning, and what their files contain then."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

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


_STOPPING = """
import os, runpy, signal, sys
from widthwise.evals.store.store import Store

method, left = sys.argv.pop(1), int(sys.argv.pop(1))
as_it_is = getattr(Store, method)

def counted(*args, **options):
    global left
    as_it_is(*args, **options)
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGSTOP)

setattr(Store, method, counted)
runpy.run_module("widthwise", run_name="__main__", alter_sys=True)
"""


@contextmanager
def stopped(
    words: Sequence[str], run: Path, after: int, method: str = "record", **pipes: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A run that has stopped itself after so many calls of a ``method`` of its store; SIGCONT lets it go on.

    It stops between two statements of its own, so nothing depends on who is faster. "record" keeps a sample, "finish" a
    problem.
    """
    line = [sys.executable, "-c", _STOPPING, method, str(after), *command(words, run)[3:]]
    process = subprocess.Popen(line, **pipes)
    try:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), f"the run ended before it had {after} of {method}"
        yield process
    finally:
        process.kill()
        process.wait()


def killed(words: Sequence[str], run: Path, after: int) -> Samples:
    """The samples in the file of a run that was killed once it had ``after`` samples."""
    with stopped(words, run, after, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        pass
    return samples(run)
