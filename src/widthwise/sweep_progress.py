"""How far a sweep has come."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from widthwise.pace import duration, seconds_left

if TYPE_CHECKING:
    from widthwise.evals.measure.sweep import SweepTask
    from widthwise.evals.store.outcome import Outcome


@dataclass(slots=True)
class Progress:
    """How far a sweep has come, and how long it will take at this pace."""

    shares: Mapping[SweepTask, float]
    concurrency: int
    runs: int = 0
    share: float = 0.0
    _began: float = field(default_factory=time.monotonic)
    _before: float = 0.0
    _under_way: float = 0.0

    def add(self, task: SweepTask, *, stored: bool = False) -> None:
        """One more problem of ``task`` is finished; ``stored`` if an earlier attempt finished it."""
        self.share += self.shares[task]
        self._before += self.shares[task] if stored else 0.0
        self._under_way = 0.0 if stored else self.shares[task] * self.concurrency

    @property
    def seconds_left(self) -> float | None:
        """None until enough was finished in this attempt."""
        done, rest = self.share - self._before, 1 - self.share
        if done < 1e-9:
            return None
        return seconds_left(time.monotonic() - self._began, done, rest, self._under_way)

    def __str__(self) -> str:
        left = self.seconds_left
        said = "" if left is None else f", about {duration(left)} left"
        return f"run {self.runs} of {len(self.shares)}, {100 * self.share:.0f} % of all samples{said}"


@dataclass(frozen=True, slots=True)
class SweepListener:
    """Is told of the problems of one run on behalf of the whole sweep."""

    task: SweepTask
    progress: Progress
    on_progress: Callable[[Progress], None]

    def stored(self, outcome: Outcome) -> None:
        """Already counted when the sweep checked what there is to do."""

    def finished(self, outcome: Outcome) -> None:
        self.progress.add(self.task)
        self.on_progress(self.progress)

    def round_ended(self, ended: object) -> None:
        """Runs of a sweep have no suite budget."""
