"""A backend with its own clock: every token takes one tick, and there is a seat for every request."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator
from typing import Any

from tests.core.scripted import Replying
from widthwise.core.backend import Delta, Request

Future = asyncio.Future[None]


class VirtualTime(Replying):
    """Delivers ``n`` tokens ``n`` ticks after they were asked for; ``now`` is the time in ticks.

    Time stands still while any task can work, and then jumps to the next delivery. So a strategy always takes the same
    time, whatever order its tasks work in, and the test knows that time without the ledger.
    """

    def __init__(self, reply: Any, **options: Any) -> None:
        super().__init__(reply, deterministic=False, **options)
        self.now = 0
        self._alarms: list[tuple[int, int, Future]] = []
        self._number = 0
        self._ticking: asyncio.Task[None] | None = None

    async def generate(self, request: Request) -> AsyncIterator[Delta]:
        due = self.now
        async for delta in super().generate(request):
            due += len(delta.token_ids)
            await self._until(due)
            yield delta

    async def _until(self, time: int) -> None:
        alarm = asyncio.get_running_loop().create_future()
        self._number += 1
        heapq.heappush(self._alarms, (time, self._number, alarm))
        if self._ticking is None or self._ticking.done():
            self._ticking = asyncio.create_task(self._tick())
        await alarm

    async def _tick(self) -> None:
        while True:
            await self._rest()
            self._alarms = [entry for entry in self._alarms if not entry[2].done()]  # some requests were aborted
            if not self._alarms:
                return
            heapq.heapify(self._alarms)
            self.now = max(self.now, self._alarms[0][0])
            while self._alarms and self._alarms[0][0] <= self.now:
                alarm = heapq.heappop(self._alarms)[2]
                if not alarm.done():
                    alarm.set_result(None)

    async def _rest(self) -> None:
        """Wait until every other task is waiting too."""
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
        while True:
            await asyncio.sleep(0)
            if not ready:
                return
