"""A server of strategies in the test's own event loop, and a neutral client for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from widthwise.serving.entry import Offer, run_server
from widthwise.settings import RunSettings

CHAT, TEXT = "chat/completions", "completions"


@dataclass(frozen=True)
class Server:
    """A server at ``url``, which ends in ``/v1``, and the names of its models."""

    url: str
    names: list[str]
    http: aiohttp.ClientSession

    async def post(self, body: Any, path: str = CHAT, **headers: str) -> tuple[int, dict[str, Any], Any]:
        """Status, JSON and headers of the response to a body (an object, or a text that is sent unchanged)."""
        data = body if isinstance(body, str | bytes) else json.dumps(body)
        sent = {"Content-Type": "application/json", **headers}
        async with self.http.post(f"{self.url}/{path}", data=data, headers=sent) as response:
            return response.status, json.loads(await response.text()), response.headers

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with self.http.get(f"{self.url.removesuffix('/v1')}{path}", headers=headers) as response:
            return response.status, await response.text()

    async def events(self, body: Any, path: str = CHAT) -> list[Any]:
        """The events of a stream; the last one is the text ``[DONE]``."""
        async with self.http.post(f"{self.url}/{path}", json=body) as response:
            assert response.status == 200, await response.text()
            assert response.headers["Content-Type"].startswith("text/event-stream")
            lines = [line for line in (await response.text()).split("\n\n") if line.startswith("data: ")]
            texts = [line.removeprefix("data: ") for line in lines]
            return [text if text == "[DONE]" else json.loads(text) for text in texts]


def question(text: str, model: str = "widthwise", **fields: Any) -> dict[str, Any]:
    """The body of a chat request that asks ``text``."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


@asynccontextmanager
async def served(model: Any = None, strategies: Any = None, *, grace: int = 20, **offer: Any) -> AsyncIterator[Server]:
    """A server of ``strategies`` on ``model`` (a name, or an open backend); it stops at the end of the block."""
    ready: asyncio.Future[tuple[str, list[str]]] = asyncio.get_running_loop().create_future()
    settings = RunSettings.of(model=model, **offer.pop("settings", {}))
    serving = asyncio.create_task(
        run_server(
            Offer(settings, strategies, **offer),
            host="127.0.0.1",
            port=0,
            grace=grace,
            ready=lambda address, names: ready.set_result((address, list(names))),
        )
    )
    await asyncio.wait([serving, ready], return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
    try:
        connections, patient = aiohttp.TCPConnector(limit=0, force_close=True), aiohttp.ClientTimeout(None)
        async with aiohttp.ClientSession(connector=connections, timeout=patient) as http:
            yield Server(*ready.result(), http)
    finally:
        serving.cancel()
        await asyncio.wait([serving])
