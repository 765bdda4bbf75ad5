"""The two paths that answer questions: they read, work while the client is there, and reply."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from widthwise.serving.attendance import Left, Sender, attended
from widthwise.serving.body import read_object
from widthwise.serving.forms import Form
from widthwise.serving.query import Query
from widthwise.serving.refusal import Refusal, json_response
from widthwise.serving.service import Service
from widthwise.serving.streaming import stream
from widthwise.version import VERSION

_log = logging.getLogger(__name__)

_UNREAD = "(unread)"
"""The name in figures for requests whose model is unknown."""
_LEFT = 499


class Endpoint:
    """An ASGI application for one form of requests."""

    def __init__(self, service: Service, form: Form, largest: int) -> None:
        self._service, self._form, self._largest = service, form, largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, sender = time.monotonic(), Sender(send)
        call = _Call(self._service, self._form, scope, receive, sender)
        try:
            await self._answered(call)
        except (Left, ClientDisconnect):
            sender.status = _LEFT
        finally:
            seconds, status = time.monotonic() - began, sender.status or _LEFT
            self._service.metrics.count(call.model, status, seconds)
            _log.info("%s: %s, %d in %.3f s", call.head["id"], call.model, status, seconds)

    async def _answered(self, call: _Call) -> None:
        try:
            await call.answer(self._largest)
        except Refusal as refusal:
            await call.refuse(refusal)
        except (Left, ClientDisconnect):
            raise
        except asyncio.CancelledError:
            await call.refuse(Refusal(503, "the server is being stopped", headers={"Retry-After": "5"}))
            raise
        except Exception as error:  # our own mistake
            _log.warning("%s failed with %s", call.head["id"], type(error).__name__)
            _log.debug("%s failed", call.head["id"], exc_info=True)
            await call.refuse(Refusal(500, f"the server failed with {type(error).__name__}, because of a bug"))


class _Call:
    """A request that is being answered."""

    def __init__(self, service: Service, form: Form, scope: Scope, receive: Receive, send: Sender) -> None:
        self._service, self._form = service, form
        self._scope, self._receive, self._send = scope, receive, send
        self.model = _UNREAD
        self.head: dict[str, Any] = {"id": f"{form.prefix}-{uuid4().hex}"}

    async def answer(self, largest: int) -> None:
        query = Query.of(await read_object(Request(self._scope, self._receive), largest), self._form.chat)
        self._service.menu.strategy(query.model)
        self.model = self._service.menu.label(query.model)
        self.head |= {
            "created": int(time.time()),
            "model": query.model,
            "system_fingerprint": f"widthwise {VERSION}",
        }
        await attended(self._receive, self._streamed(query) if query.stream else self._whole(query))

    async def refuse(self, refusal: Refusal) -> None:
        """Send the refusal, unless a reply has begun."""
        if self._send.status is None:
            await refusal.response(self._scope, self._receive, self._send)

    async def _whole(self, query: Query) -> None:
        reply = await self._service.answer(query, begun=lambda: None)
        await json_response(self._form.whole(self.head, reply))(self._scope, self._receive, self._send)

    async def _streamed(self, query: Query) -> None:
        async with self._told(query) as (told, working):
            await told.get()  # its turn has come, or it has failed before
            await stream(self._form, self.head, query, told, working, self._send)

    @asynccontextmanager
    async def _told(self, query: Query) -> AsyncIterator[tuple[asyncio.Queue[str | None], asyncio.Task[Any]]]:
        """What the work reports as it goes on: an empty text when its turn has come, None at its end; and the work."""
        told: asyncio.Queue[str | None] = asyncio.Queue()
        tell = told.put_nowait if query.progress else None
        working = asyncio.create_task(self._service.answer(query, lambda: told.put_nowait(""), tell))
        working.add_done_callback(lambda _: told.put_nowait(None))
        try:
            yield told, working
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
