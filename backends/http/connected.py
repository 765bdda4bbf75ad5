"""What every client of a server needs: a loop in a thread of its own, with the connections made in it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from widthwise.backends.http.transport import Transport
from widthwise.backends.loop_thread import LoopThread
from widthwise.core.brief import Brief


class Connected(Brief):
    """Has a loop and connections until it is closed; ``headers`` are sent with each request."""

    def __init__(self, name: str, connect_timeout: float, headers: Mapping[str, str]) -> None:
        self._thread = LoopThread(name)
        self._transport = Transport(connect_timeout, headers)
        self._closed = False

    async def close(self) -> None:
        """Abort what is running and close the connections."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._shut_down)

    def _shut_down(self) -> None:
        self._thread.end_streams()
        self._thread.call(self._transport.close(), timeout=5)
        self._thread.stop()
