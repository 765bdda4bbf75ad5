"""How many requests are worked on at once, and how many wait for their turn."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from widthwise.core.brief import counted
from widthwise.core.errors import UsageError
from widthwise.serving.refusal import Refusal

_RECENT = 0.2
"""The weight of the latest request in the average time per request."""
_LONGEST_WAIT = 120


class Admission:
    """Lets ``places`` requests in at once, in order of arrival; ``queue`` more may wait."""

    def __init__(self, places: int, queue: int) -> None:
        if places < 1 or queue < 0:
            raise UsageError("a server works on at least 1 request at once, and its queue has at least 0 places")
        self.places, self.queue = places, queue
        self.running = self.waiting = 0
        self._free = asyncio.Semaphore(places)
        self._seconds = 1.0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place among the requests being worked on; raises ``Refusal`` (429) if the queue is full."""
        if self._free.locked() and self.waiting >= self.queue:
            raise self._overload()
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        began = time.monotonic()
        try:
            yield
        finally:
            self.running -= 1
            self._free.release()
            self._seconds += _RECENT * (time.monotonic() - began - self._seconds)

    def _overload(self) -> Refusal:
        seconds = min(max(math.ceil(self._seconds * (self.waiting + 1) / self.places), 1), _LONGEST_WAIT)
        return Refusal(
            429,
            f"{counted(self.running, 'request')} in work and {self.waiting} waiting: try again in {seconds} s",
            code="rate_limit_exceeded",
            headers={"Retry-After": str(seconds)},
        )
