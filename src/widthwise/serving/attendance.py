"""Work for a client that lasts only as long as the client is there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Message, Receive, Send

T = TypeVar("T")


_SENDING_SECONDS = 60.0
"""How long a client may take to read a part of a reply."""


class Left(Exception):
    """The client has closed its connection, or no longer reads."""


async def attended(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, which ends when the client leaves; then raises ``Left``.

    All of the request's body must have been received.
    """
    task, gone = asyncio.create_task(work), asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Left
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Sender:
    """``send``, but raises ``Left`` if the client does not read; ``status`` is what was sent, None for nothing."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        try:
            async with asyncio.timeout(_SENDING_SECONDS):
                await self._send(message)
        except (TimeoutError, OSError):
            raise Left from None
