"""A clock that all event loops of a test share. It jumps: ten minutes of waiting take no time.

Time stands still while any loop can work. When all loops wait, for sockets of this process or for each other, time
jumps to the earliest timer. Sockets are real, and so are threads with their own loops. The clock does not know of other
threads: time may jump while one of them works.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

_POLL = 0.002
"""Real seconds between a loop's checks for new events."""
_EMPTY = 4
"""Time jumps once all loops have found nothing this many times: what one sends may reach another a moment later."""


class FakeClock:
    """``now`` is in seconds. ``run`` runs a test's coroutine; loops created meanwhile are on the clock too."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._lock = threading.Lock()
        self._work = 0
        self._quiet: dict[_Waiting, tuple[int, int, float]] = {}
        self._loops: list[_Waiting] = []

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Put all loops created from now on, and the server pool's ``time.monotonic``, on the clock."""
        from widthwise.backends.http import server_pool

        patch.setattr(asyncio, "new_event_loop", self.loop)
        patch.setattr(server_pool, "monotonic", lambda: self.now)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        with asyncio.Runner(loop_factory=self.loop) as runner:
            return runner.run(work)

    def loop(self) -> asyncio.AbstractEventLoop:
        return _Loop(self, _Waiting(self))

    def enter(self, waiting: _Waiting) -> None:
        """A loop starts running: from now on, time waits for it too."""
        with self._lock:
            self._loops.append(waiting)

    def leave(self, waiting: _Waiting) -> None:
        with self._lock:
            self._loops.remove(waiting)
            self._quiet.pop(waiting, None)
            self._work += 1

    def worked(self, waiting: _Waiting) -> None:
        """A loop has found work: other loops must not take its earlier silence for the end of all work."""
        with self._lock:
            self._work += 1
            self._quiet.pop(waiting, None)

    def quiet(self, waiting: _Waiting, timeout: float | None) -> bool:
        """A loop has nothing to do for ``timeout`` seconds; returns whether that time has passed."""
        with self._lock:
            due = float("inf") if timeout is None else waiting.began + timeout
            seen, times, _ = self._quiet.get(waiting, (-1, 0, due))
            self._quiet[waiting] = (self._work, times + 1 if seen == self._work else 1, due)
            others = [self._quiet.get(other, (-1, 0, 0.0)) for other in self._loops]
            if timeout is None or any(work != self._work or empty < _EMPTY for work, empty, _ in others):
                return False
            if due > min(other_due for _, _, other_due in others):
                return False
            self.now = max(self.now, due)
            self._work += 1
            self._quiet.pop(waiting)
            return True


class _Waiting(selectors.DefaultSelector):
    """A loop's selector: it waits on the clock."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock
        self.began = clock.now

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.began = self._clock.now
        if timeout is not None and timeout <= 0:
            return super().select(0)
        while True:
            ready = super().select(_POLL)
            if ready:
                self._clock.worked(self)
                return ready
            if self._clock.quiet(self, timeout):
                return []


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: FakeClock, waiting: _Waiting) -> None:
        self._clock, self._waiting = clock, waiting
        super().__init__(waiting)

    def run_forever(self) -> None:
        self._clock.enter(self._waiting)
        try:
            super().run_forever()
        finally:
            self._clock.leave(self._waiting)

    def time(self) -> float:
        return self._clock.now
