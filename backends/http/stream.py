"""Server-sent events of a completion, as JSON objects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from widthwise.backends.http.client import status_error, unreachable
from widthwise.core.errors import BackendError
from widthwise.core.plain_json import parse

_log = logging.getLogger(__name__)

DONE = b"[DONE]"


async def events(response: aiohttp.ClientResponse, *, first: float, stall: float) -> AsyncIterator[dict[str, Any]]:
    """The events of a stream until its ``[DONE]`` or its end.

    ``first`` and ``stall`` are limits in seconds for the first and for each later piece of data. A half event
    at the end of a broken stream is dropped. Raises BackendError (retryable) for a stall, a broken connection
    and an error reported inside the stream.
    """
    buffer, limit = b"", first
    while data := await _read(response, limit):
        limit = stall
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            event = line.strip().removeprefix(b"data:").strip()
            if event == DONE:
                return
            if event and line.startswith(b"data:"):
                yield _parsed(str(response.url), event)


async def checked(response: aiohttp.ClientResponse) -> None:
    """Raise what a status other than 200 means."""
    if response.status != 200:
        raise status_error(str(response.url), response.status, await response.text(errors="replace"))


async def drained(response: aiohttp.ClientResponse) -> None:
    """Let the finished response end by itself, so that its connection can serve another request."""
    try:
        async with asyncio.timeout(0.2):
            await response.content.read()
    except (TimeoutError, aiohttp.ClientError):
        _log.debug("%s did not end its answer; the connection is closed", response.url)
        response.close()


async def _read(response: aiohttp.ClientResponse, limit: float) -> bytes:
    url = str(response.url)
    try:
        async with asyncio.timeout(limit):
            return await response.content.readany()
    except TimeoutError as error:
        raise BackendError(f"{url} sent nothing for {limit:g} seconds", retryable=True) from error
    except (aiohttp.ClientError, OSError) as error:
        raise unreachable(url, f"the connection broke off ({error})") from error


def _parsed(url: str, event: bytes) -> dict[str, Any]:
    try:
        content: dict[str, Any] = parse(event, finite=False)
    except ValueError as error:
        raise BackendError(f"{url} sent an event that is not JSON", retryable=True) from error
    if content.get("error"):
        status = content["error"].get("code") if isinstance(content["error"], dict) else None
        raise status_error(url, status if isinstance(status, int) else 500, event.decode(errors="replace"))
    return content
