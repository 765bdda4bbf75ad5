"""A proxy that spoils a share of the completions that pass through it: `python faulty_proxy.py URL SHARE SEED` prints
its port.

A spoiled request gets, in equal parts: HTTP 500 instead of being passed on; a reset connection in mid-stream; a stream
that stalls; a stream that ends early, in the middle of an event. `/faults` counts them; everything else passes through
unchanged.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter

import aiohttp
from aiohttp import web

KINDS = ["status_500", "reset", "stall", "truncate"]
LONGEST_STALL = 60.0


class Proxy:
    """Passes requests on to ``target``; ``seed`` draws the faults in the order of arrival."""

    def __init__(self, target: str, share: float, seed: int) -> None:
        self._target, self._share = target, share
        self._random = random.Random(seed)
        self.faults: Counter[str] = Counter()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/faults":
            return web.json_response(self.faults)
        fault, after = self._draw(request.path)
        if fault == "status_500":
            return web.json_response({"error": {"message": "spoiled on purpose"}}, status=500)
        body = await request.read()
        kept = {
            name: value for name, value in request.headers.items() if name.lower() not in ("host", "content-length")
        }
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(request.method, self._target + request.path_qs, data=body, headers=kept) as answer,
        ):
            return await self._pass_on(request, answer, fault, after)

    def _draw(self, path: str) -> tuple[str | None, int]:
        """The fault for this request, and after how many bytes of the answer it strikes."""
        if not path.endswith("/completions"):
            return None, 0
        self.faults["requests"] += 1
        if self._random.random() >= self._share:
            return None, 0
        fault = self._random.choice(KINDS)
        self.faults[fault] += 1
        return fault, self._random.randrange(3000)

    async def _pass_on(
        self, request: web.Request, answer: aiohttp.ClientResponse, fault: str | None, after: int
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status)
        response.content_type = answer.content_type
        response.enable_chunked_encoding()
        await response.prepare(request)
        left = after
        async for data in answer.content.iter_any():
            if fault is not None and len(data) >= left:
                await response.write(data[:left])
                return await self._strike(request, response, fault)
            left -= len(data)
            await response.write(data)
        await response.write_eof()
        return response

    async def _strike(self, request: web.Request, response: web.StreamResponse, fault: str) -> web.StreamResponse:
        assert request.transport is not None
        if fault == "reset":
            request.transport.abort()
        elif fault == "stall":
            await asyncio.sleep(LONGEST_STALL)
        else:
            await response.write_eof()
        return response


async def serve(target: str, share: float, seed: int) -> None:
    proxy = Proxy(target, share, seed)
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
