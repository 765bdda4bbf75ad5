"""A reply as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.types import Send

from widthwise.serving.forms import Form, Head
from widthwise.serving.query import Query
from widthwise.serving.refusal import Refusal, spelled
from widthwise.serving.reply import Reply

_QUIET_SECONDS = 15.0
"""After so many silent seconds a comment says that the connection is alive: proxies cut silent ones."""
_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]


async def stream(
    form: Form, head: Head, query: Query, told: asyncio.Queue[str | None], working: asyncio.Task[Reply], send: Send
) -> None:
    """Send what is ``told`` while the work goes on, then its reply.

    Raises ``Refusal`` for work that failed before anything was sent; later failures are an event.
    """
    if working.done() and working.exception() is not None:
        working.result()
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    events = _Events(send)
    try:
        opening = form.opening(head)
        await events.send(opening)
        while (text := await _next(told, events)) is not None:
            await events.send(form.reasoning(head, text))
        for event in form.events(head, working.result()):
            await events.send(event)
        if query.counted:
            await events.send({**head, "object": opening["object"], "choices": [], "usage": working.result().usage})
        await events.write("data: [DONE]\n\n")
    except Refusal as refusal:
        await events.send(refusal.body)
    await events.end()


async def _next(told: asyncio.Queue[str | None], events: _Events) -> str | None:
    while True:
        try:
            async with asyncio.timeout(_QUIET_SECONDS):
                return await told.get()
        except TimeoutError:
            await events.write(": at work\n\n")


class _Events:
    """Writes events to a client that reads them."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def send(self, event: Mapping[str, Any]) -> None:
        await self.write(f"data: {spelled(event)}\n\n")

    async def write(self, text: str, *, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": text.encode(), "more_body": more})

    async def end(self) -> None:
        await self.write("", more=False)
