"""Bodies of requests, read within bounds of size, time and depth."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request

from widthwise.core.plain_json import parse
from widthwise.serving.refusal import Refusal

LARGEST = 4 << 20
"""The default size limit of a body in bytes."""

_SECONDS = 30.0
"""How many seconds a client may take to send one."""


async def read_object(request: Request, largest: int = LARGEST) -> dict[str, Any]:
    """The JSON object in the request's body; raises ``Refusal`` for anything else and for one that is too large."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        # A web page can send other kinds to a server on its reader's machine without asking it first.
        raise Refusal(415, "the body must be JSON: send the header Content-Type: application/json")
    try:
        value = parse(await _bytes(request, largest))
    except ValueError as error:
        raise Refusal(400, f"the body is not readable JSON: {error}") from None
    if not isinstance(value, dict):
        raise Refusal(400, "the body must be a JSON object")
    return value


async def _bytes(request: Request, largest: int) -> bytes:
    received = bytearray()
    try:
        async with asyncio.timeout(_SECONDS):
            async for chunk in request.stream():
                received += chunk
                if len(received) > largest:
                    raise Refusal(413, f"the body is larger than {largest} bytes, the most accepted here")
    except TimeoutError:
        raise Refusal(408, f"the body did not arrive within {_SECONDS:g} seconds") from None
    return bytes(received)
