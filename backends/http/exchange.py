"""One request to one server of a pool: it passes the gate, is sent, and its answer's beginning is checked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from widthwise.backends.http.address import shown
from widthwise.backends.http.server_pool import Server
from widthwise.backends.http.statuses import FULL, status_error
from widthwise.backends.http.transport import Transport, whole_text
from widthwise.core.errors import BackendError


@asynccontextmanager
async def exchange(
    server: Server, transport: Transport, url: str, body: Any, limit: float
) -> AsyncIterator[aiohttp.ClientResponse]:
    """The answer to ``body`` at ``url``, which must begin within ``limit`` seconds after the request is sent.

    All requests to the server wait for their turn at its gate. Raises BackendError for every refusal.
    """
    server.in_flight += 1
    turn = None
    response: aiohttp.ClientResponse | None = None
    try:
        turn = await server.gate.enter()
        async with asyncio.timeout(limit):
            response = await transport.begin(url, body)
        if response.status != 200:
            text = await whole_text(response, url)
            error = status_error(url, response.status, text, response.headers)
            if response.status in FULL or "Retry-After" in response.headers:
                server.gate.refused(turn, response.headers, text)
            raise error
        server.gate.answered(turn, response.headers)
        yield response
    except TimeoutError as error:
        raise BackendError(f"{shown(url)} sent nothing for {limit:g} seconds", retryable=True) from error
    finally:
        if response is not None:
            response.close()
        if turn is not None:
            server.gate.left(turn)
        server.in_flight -= 1
