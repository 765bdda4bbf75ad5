"""Asking a server what it is: patiently, since a temporary fault says nothing about the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import aiohttp

from widthwise.backends.http.address import beside, endpoint, shown
from widthwise.backends.http.server_pool import Server
from widthwise.backends.http.statuses import StatusError, Unreachable, broken, status_error
from widthwise.backends.http.stream import Event, checked, events
from widthwise.backends.http.transport import Transport, whole
from widthwise.core.errors import BackendError
from widthwise.core.plain_json import parse

T = TypeVar("T")

_log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_UNREACHABLE_SECONDS = 2.0
"""How long to look for a server that does not answer at all, unless it is known to be starting."""
_LOADING_SECONDS = 600.0
"""How long to wait for a server that says it is loading or busy."""
_TELL_SECONDS = 1.0
_MOST_EVENTS = 256


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits in seconds: for an ``answer``, and for the server to be ready (``startup``; None: the defaults)."""

    answer: float = 600.0
    startup: float | None = None

    def limit(self, error: BackendError) -> float:
        """How long to go on asking after this fault."""
        if isinstance(error, StatusError) and not is_busy(error):
            return _UNREACHABLE_SECONDS
        if self.startup is not None:
            return self.startup
        return _UNREACHABLE_SECONDS if isinstance(error, Unreachable) else _LOADING_SECONDS


def is_busy(error: StatusError) -> bool:
    """Whether a server says that it is busy or loading; one that fails at a request (500) may do so for ever."""
    return error.retryable and error.status != 500


class Enquiry:
    """Questions to one server; each raises ``BackendError``, or ``StatusError`` for what the server refuses.

    Paths are below the server's base, or beside it if they begin with ``..``.
    """

    def __init__(self, server: Server, transport: Transport, patience: Patience) -> None:
        self.server = server
        self._transport, self._patience = transport, patience

    @property
    def url(self) -> str:
        """The server's base, in a form that may be shown."""
        return shown(self.server.url)

    async def get(self, path: str) -> Any:
        """The JSON at ``path``."""
        return await self._patiently(partial(self._answer, path, None))

    async def glance(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON at ``path``, if the server has anything there; None otherwise, and for any other failure."""
        try:
            return await self._patiently(partial(self._answer, path, body), busy_only=True)
        except BackendError as error:
            _log.debug("nothing learned at %s of %s: %s", path, self.url, error)
            return None

    async def stream(self, path: str, body: Mapping[str, Any]) -> list[Event]:
        """The events that answer ``body``, received as a stream."""
        return await self._patiently(partial(self._events, path, {**body, "stream": True}))

    def _at(self, path: str) -> str:
        return beside(self.server.url, path[2:]) if path.startswith("..") else endpoint(self.server.url, path)

    async def _patiently(self, ask: Callable[[], Awaitable[T]], *, busy_only: bool = False) -> T:
        clock = asyncio.get_running_loop()
        began, pause, told = clock.time(), _FIRST_PAUSE, False
        while True:
            try:
                return await ask()
            except BackendError as error:
                waited, limit = clock.time() - began, self._patience.limit(error)
                pause = max(pause, (error.wait if isinstance(error, StatusError) else None) or 0.0)
                failing = isinstance(error, StatusError) and not is_busy(error)
                if not error.retryable or waited + pause > limit or (busy_only and failing):
                    raise
                if waited >= _TELL_SECONDS and not told:
                    told = True
                    _log.warning("%s is not ready: waiting up to %g seconds (%s)", self.url, limit, error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _answer(self, path: str, body: Mapping[str, Any] | None) -> Any:
        url, limit = self._at(path), self._patience.answer
        try:
            async with self._begun(url, body) as response, asyncio.timeout(limit):
                return parse(await whole(response, url), finite=False)
        except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
            raise broken(url, error) from error
        except ValueError as error:
            raise BackendError(f"{shown(url)} sent an answer that is not JSON") from error

    @asynccontextmanager
    async def _begun(self, url: str, body: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """The beginning of an answer that is not a refusal.

        A server that is loading is asked more often than one that is full: questions do not wait at its gate.
        """
        try:
            async with asyncio.timeout(self._patience.answer):
                response = await self._transport.begin(url, body)
        except TimeoutError as error:
            raise broken(url, f"nothing came for {self._patience.answer:g} seconds") from error
        try:
            await checked(response)
            yield response
        finally:
            response.close()

    async def _events(self, path: str, body: Mapping[str, Any]) -> list[Event]:
        url, limit, found = self._at(path), self._patience.answer, list[Event]()
        async with (
            self._begun(url, body) as response,
            aclosing(events(response, first=limit, stall=limit)) as arriving,  # type: ignore[type-var]
        ):
            async for event in arriving:
                found.append(event)
                if len(found) == _MOST_EVENTS:
                    break
        if not any(event.get("choices") for event in found):
            raise status_error(url, 500, "it answered with an empty stream")
        return found
