"""Plain JSON requests to a pool of servers: one question, one answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import aiohttp

from widthwise.backends.http.address import beside, endpoint, shown
from widthwise.backends.http.exchange import exchange
from widthwise.backends.http.server_pool import Server, ServerPool
from widthwise.backends.http.statuses import broken, reported_error
from widthwise.backends.http.transport import Transport
from widthwise.backends.loop_thread import LoopThread
from widthwise.core.errors import BackendError
from widthwise.core.plain_json import parse


class JSONClient:
    """Asks the server that a problem belongs to, and the next one if that fails."""

    def __init__(
        self,
        thread: LoopThread,
        transport: Transport,
        pool: ServerPool,
        *,
        limit: float,
        admit: Callable[[Server], Awaitable[None]] | None = None,
    ) -> None:
        """``admit`` is called before each request to check that the server belongs to the pool."""
        self._thread, self._transport, self._pool, self._limit = thread, transport, pool, limit
        self._admit = admit

    async def post(self, path: str, body: Mapping[str, Any], problem: str = "") -> dict[str, Any]:
        """The JSON object that answers ``body`` at ``path`` (below ``/v1``, or beside it). Raises BackendError."""
        async with aclosing(self._thread.stream(self._answers(path, body, problem))) as answers:  # type: ignore[type-var]
            async for answer in answers:
                return answer
        raise BackendError("the server's answer did not arrive", retryable=True)

    async def _answers(self, path: str, body: Mapping[str, Any], problem: str) -> AsyncGenerator[dict[str, Any], None]:
        servers = self._pool.candidates(problem)
        for number, server in enumerate(servers, 1):
            try:
                if self._admit is not None:
                    await self._admit(server)
                yield await self._ask(server, path, body)
                return
            except BackendError as error:
                error.attempts = number
                if not server.may_pass_on(error) or number == len(servers):
                    raise

    async def _ask(self, server: Server, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        url = beside(server.url, path[3:]) if path.startswith("/..") else endpoint(server.url, path)
        try:
            async with exchange(server, self._transport, url, body, self._limit) as response:
                async with asyncio.timeout(self._limit):
                    text = await response.text()
                answer = parse(text, finite=False)
        except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
            raise broken(url, error) from error
        except ValueError as error:
            raise BackendError(f"{shown(url)} sent an answer that is not JSON", retryable=True) from error
        if not isinstance(answer, dict):
            raise BackendError(f"{shown(url)} sent an answer that is not a JSON object")
        if (reported := reported_error(url, answer, text)) is not None:
            raise reported
        server.succeeded()
        return answer
