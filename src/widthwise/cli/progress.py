"""Progress of a run on stderr: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from widthwise.cli.terminal import say
from widthwise.evals.store.outcome import Outcome, credit

if TYPE_CHECKING:
    from rich.progress import Progress

_LINE_EVERY = 5.0
"""Seconds between two lines of progress where no bar can be drawn."""


class Meter:
    """Counts the problems of a run as they are done; ``draw`` shows it."""

    def __init__(self, problems: int, draw: Callable[[Meter], None]) -> None:
        self.problems = problems
        self.done = 0
        self.first_failure = ""
        self._right, self._failed, self._tokens = 0.0, 0, 0
        self._draw = draw
        self._began = time.monotonic()

    def stored(self, outcome: Outcome) -> None:
        """Count a problem that an earlier attempt has done."""
        self.done += 1
        self._right += credit(outcome.correct)

    def finished(self, outcome: Outcome) -> None:
        """Count a problem that is done just now."""
        self.stored(outcome)
        self._failed += outcome.state == "error"
        self.first_failure = self.first_failure or next(iter(outcome.errors), "")
        self._tokens += outcome.ledger.total
        self._draw(self)

    def __str__(self) -> str:
        speed = self._tokens / max(time.monotonic() - self._began, 1e-6)
        failed = f", {self._failed} failed" if self._failed else ""
        return f"accuracy {100 * self._right / max(self.done, 1):.1f} %, {speed:,.0f} tokens/s{failed}"


@contextmanager
def progress(problems: int) -> Iterator[Meter]:
    """A meter whose readings are shown while the block runs."""
    if not sys.stderr.isatty():
        yield Meter(problems, _line_now_and_then())
        return
    with _bar() as bar:
        task = bar.add_task("", total=problems)
        yield Meter(problems, lambda meter: bar.update(task, completed=meter.done, description=str(meter)))


def _line_now_and_then() -> Callable[[Meter], None]:
    last = time.monotonic()

    def draw(meter: Meter) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY:
            last = time.monotonic()
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
        parts.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
