"""Notices an engine that is alive but has stopped answering: a stuck worker raises no error by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any


class StallWatch:
    """Calls ``on_stall`` when requests wait and none of them has received anything for ``seconds``.

    A single request may wait for long in a full queue: what counts is that no request is served.
    """

    def __init__(self, seconds: float, on_stall: Callable[[], None]) -> None:
        self._seconds = seconds
        self._on_stall = on_stall
        self._waiting = 0
        self._heard = time.monotonic()

    async def over(self, outputs: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """What a request receives, under watch. The caller must close ``outputs``."""
        if not self._waiting:
            self._heard = time.monotonic()
        self._waiting += 1
        try:
            async for output in outputs:
                self._heard = time.monotonic()
                yield output
        finally:
            self._waiting -= 1

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(self._seconds / 8)
            if self._waiting and time.monotonic() - self._heard > self._seconds:
                self._on_stall()
                self._heard = time.monotonic()
