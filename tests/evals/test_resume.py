"""A run that is killed at random moments and resumed each time equals an uninterrupted run."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from widthwise.evals.store.store import Store, compare

KILLS = 20


def command(path: Path, concurrency: int) -> list[str]:
    settings = ["--limit", "10", "--strategy", "best_of_n(n=12) | majority_vote()", "--seed", "3"]
    return [sys.executable, "-m", "widthwise", "eval", "arithmetic", *settings,
            "--concurrency", str(concurrency), "--run", str(path)]  # fmt: skip


def attempts(path: Path) -> int:
    """How many attempts have started to work on the run; 0 if the file does not exist yet."""
    try:
        db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            return int(db.execute("SELECT count(*) FROM attempts").fetchone()[0])
        finally:
            db.close()
    except sqlite3.Error:
        return 0


def killed(path: Path, chance: random.Random) -> bool:
    """Start the run and kill it at a random moment, while it starts or works; True if it was killed before it ended."""
    before = attempts(path)
    process = subprocess.Popen(command(path, chance.choice([1, 3, 32])), stdout=subprocess.DEVNULL)
    if chance.random() < 0.25:
        time.sleep(chance.uniform(0.0, 0.6))
    else:
        while attempts(path) == before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 0.3))
    process.kill()
    return process.wait() != 0


@pytest.mark.slow
def test_twenty_kills_change_nothing(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.db", tmp_path / "broken.db"
    subprocess.run(command(whole, 32), check=True, stdout=subprocess.DEVNULL)
    chance = random.Random(20)
    for _ in range(KILLS):
        while not killed(broken, chance):  # a fast machine finished before the kill: start again
            check_equal(whole, broken)
            broken.unlink()
    subprocess.run(command(broken, 32), check=True, stdout=subprocess.DEVNULL)
    check_equal(whole, broken)


def check_equal(whole: Path, broken: Path) -> None:
    with Store.read(whole) as a, Store.read(broken) as b:
        assert compare(a, b) == []
        assert all(outcome.state == "done" and len(outcome.leaves) == 12 for outcome in b.outcomes())
