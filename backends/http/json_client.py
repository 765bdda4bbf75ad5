"""Plain JSON requests to a pool of servers: one question, one answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import aiohttp

from widthwise.backends.http.client import headers, unreachable
from widthwise.backends.http.server_pool import Server, ServerPool
from widthwise.backends.http.stream import checked
from widthwise.backends.loop_thread import LoopThread
from widthwise.core.errors import BackendError

_log = logging.getLogger(__name__)

_KEPT_SECONDS = 4.0
"""How long an idle connection is kept for reuse: vLLM's server closes its own after five seconds."""


class JSONClient:
    """Asks the server that a problem belongs to, and the next one where that fails."""

    def __init__(self, thread: LoopThread, session: aiohttp.ClientSession, pool: ServerPool, *, limit: float) -> None:
        self._thread, self._session, self._pool, self._limit = thread, session, pool, limit

    async def post(self, path: str, body: Mapping[str, Any], problem: str = "") -> dict[str, Any]:
        """The JSON object that answers ``body`` at ``path`` (below ``/v1``, or ``..`` it). Raises BackendError."""
        async with aclosing(self._thread.stream(self._answers(path, body, problem))) as answers:  # type: ignore[type-var]
            async for answer in answers:
                return answer
        raise BackendError("the server's answer did not come", retryable=True)

    async def _answers(self, path: str, body: Mapping[str, Any], problem: str) -> AsyncGenerator[dict[str, Any], None]:
        servers = self._pool.candidates(problem)
        for server in servers:
            try:
                yield await self._ask(server, path, body)
                return
            except BackendError as error:
                if not error.retryable:
                    raise
                server.failed(error)
                if server is servers[-1]:
                    raise

    async def _ask(self, server: Server, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        base = server.url.removesuffix("/v1") if path.startswith("/..") else server.url
        url = base + path.removeprefix("/..")
        server.in_flight += 1
        try:
            async with asyncio.timeout(self._limit), await posted(self._session, url, body) as response:
                await checked(response)
                answer = await response.json(content_type=None)
        except TimeoutError as error:
            raise BackendError(f"{url} sent nothing for {self._limit:g} seconds", retryable=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise unreachable(url, error) from error
        except ValueError as error:
            raise BackendError(f"{url} sent an answer that is not JSON", retryable=True) from error
        finally:
            server.in_flight -= 1
        if not isinstance(answer, dict):
            raise BackendError(f"{url} sent an answer that is no JSON object")
        server.succeeded()
        return answer


async def posted(session: aiohttp.ClientSession, url: str, body: Mapping[str, Any]) -> aiohttp.ClientResponse:
    """The beginning of the answer to ``body``.

    A server may close an idle connection at the very moment when it is used again. That is no failure of the server:
    the request, of which nothing was answered, is sent once more. Raises what aiohttp raises.
    """
    try:
        return await session.post(url, json=body)
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        if isinstance(error, aiohttp.ClientConnectorError):  # there was no connection to begin with
            raise
        _log.info("%s closed the connection before it answered (%s): sent again", url, error)
        return await session.post(url, json=body)


async def open_session(connect_timeout: float) -> aiohttp.ClientSession:
    """A connection pool without a limit of its own; to be called in the loop that uses it."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_SECONDS),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout),
        headers=headers(),
        trust_env=True,
    )
