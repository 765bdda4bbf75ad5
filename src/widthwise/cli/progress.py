"""Progress of a run on stderr: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from widthwise.cli.terminal import say
from widthwise.evals.store.outcome import Outcome, credit
from widthwise.pace import duration, seconds_left

if TYPE_CHECKING:
    from rich.progress import Progress

    from widthwise.evals.allocation.rounds import Round

_LINE_EVERY = 5.0
"""Seconds between two lines of progress if no bar can be drawn."""


class Meter:
    """Counts the problems of a run as they are finished, ``concurrency`` at once; ``draw`` shows it.

    Time counts from the start of the first problem: how long a model takes to load says nothing about the rest.
    """

    def __init__(self, problems: int, concurrency: int, draw: Callable[[Meter], None]) -> None:
        self.problems = problems
        self.done = 0
        self.first_failure = ""
        self._concurrency = concurrency
        self._right, self._failed, self._tokens, self._before = 0.0, 0, 0, 0
        self._rounds, self._round = 0, ""
        self._draw = draw
        self._began = math.inf

    def stored(self, outcome: Outcome) -> None:
        """Count a problem that an earlier attempt has finished."""
        self._before += 1
        self._count(outcome)

    def finished(self, outcome: Outcome) -> None:
        """Count a problem that has just been finished."""
        self._count(outcome)
        self._began = min(self._began, time.monotonic() - outcome.ledger.seconds)
        self._failed += outcome.state == "error"
        self.first_failure = self.first_failure or next(iter(outcome.errors), "")
        self._tokens += outcome.ledger.total
        self._draw(self)

    def round_ended(self, ended: Round) -> None:
        """Show how far a suite budget is shared out."""
        self._rounds += 1
        self._round = f"round {self._rounds}: {ended}"
        self._draw(self)

    def _count(self, outcome: Outcome) -> None:
        self.done += 1
        self._right += credit(outcome.correct)

    @property
    def seconds_left(self) -> float | None:
        """An estimate from the problems that were done in this attempt; None while they are too few."""
        return seconds_left(self.elapsed, self.done - self._before, self.problems - self.done, self._concurrency)

    @property
    def elapsed(self) -> float:
        """Seconds since the first problem began; 0 before one is finished."""
        return max(time.monotonic() - self._began, 0.0)

    def __str__(self) -> str:
        if self._round and not self.done:
            return self._round
        speed, seconds = self._tokens / max(self.elapsed, 1e-6), self.seconds_left
        failed = f", {self._failed} failed" if self._failed else ""
        left = f", about {duration(seconds)} left" if seconds else ""
        return f"accuracy {100 * self._right / max(self.done, 1):.1f} %, {speed:,.0f} tokens/s{failed}{left}"


@contextmanager
def progress(problems: int, concurrency: int) -> Iterator[Meter]:
    """A meter that is displayed while the block runs."""
    if not sys.stderr.isatty():
        yield Meter(problems, concurrency, _line_now_and_then())
        return
    with _bar() as bar:
        task = bar.add_task("", total=problems)
        yield Meter(problems, concurrency, lambda meter: bar.update(task, completed=meter.done, description=str(meter)))


def now_and_then() -> Callable[[float, float | None], bool]:
    """Tells when to print a line: once it is known to take long, or has taken long, and then every few seconds.

    It gets the seconds that have passed, and those that are left if they are known.
    """
    last: float | None = None

    def due(passed: float, left: float | None) -> bool:
        nonlocal last
        now = time.monotonic()
        if ((passed if left is None else left) if last is None else now - last) < _LINE_EVERY:
            return False
        last = now
        return True

    return due


def _line_now_and_then() -> Callable[[Meter], None]:
    due = now_and_then()

    def draw(meter: Meter) -> None:
        # Before a problem is finished there are only rounds to tell of, and the first of them at once.
        if due(meter.elapsed if meter.done else math.inf, meter.seconds_left):
            say(f"{meter.done} of {meter.problems} problems: {meter}", err=True)

    return draw


def _bar() -> Progress:
    from rich import progress as parts
    from rich.console import Console

    return parts.Progress(
        parts.BarColumn(),
        parts.MofNCompleteColumn(),
        parts.TextColumn("{task.description}"),
        parts.TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
