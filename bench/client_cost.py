"""What the HTTP client costs: CPU per token and per request, compared with a bare loop of aiohttp and json.

This file's own server, in a separate process, answers at once. Both clients ask it the same:

* ``tokens``: 64 streams of 2,048 tokens, one event for each token in text and in chat, one for 16 in token ids;
* ``requests``: 2,000 requests of 8 tokens, all in flight at once.

The bare loop posts, splits the stream at its line ends and parses each event; it handles no fault, end or limit. Both
run in turn, and the best of several rounds counts, in CPU seconds of the client's process. ``memory`` is what 64
streams of 32,768 tokens, and 20,000 requests instead of 2,000, add to the largest resident set. Exit status 1 if a row
costs more than twice the bare loop.

    python bench/client_cost.py [--rounds 3] [--memory]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from widthwise.backends.http.backend import HTTPBackend
from widthwise.core.backend import Request, SamplingParams
from widthwise.core.conversation import Conversation

MODEL = Path(__file__).parents[1] / "models" / "reasoner"
DIALECTS = ("text", "chat", "token_ids")
STREAMS, TOKENS, REQUESTS, SHORT = 64, 2048, 2000, 8
GOAL = 2.0
PATIENT: dict[str, Any] = {"connect_timeout": 300.0}
"""The bare loop has no limit either."""
PATHS = {"text": "/v1/completions", "token_ids": "/v1/completions", "chat": "/v1/chat/completions"}

# -- the server ------------------------------------------------------------------------------------------------


def event(dialect: str, count: int, finish: str | None = None) -> bytes:
    choice: dict[str, Any] = {"index": 0, "finish_reason": finish, "logprobs": None}
    if dialect == "chat":
        choice["delta"] = {"content": " tok" * count}
    else:
        choice["text"] = " tok" * count
    if dialect == "token_ids":
        choice["token_ids"] = [7] * count
    body = {"id": "cmpl-0123456789abcdef", "object": "chunk", "created": 1790000000, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


@cache
def answer(dialect: str, tokens: int) -> bytes:
    size = 16 if dialect == "token_ids" else 1
    if dialect == "token_ids":
        head = b'data: {"choices": [{"index": 0, "text": "", "token_ids": [], "prompt_token_ids": [1, 1]}]}\n\n'
    else:
        head = b""
    last = min(size, tokens)
    return (
        head + event(dialect, size) * ((tokens - last) // size) + event(dialect, last, "length") + b"data: [DONE]\n\n"
    )


class Server(asyncio.Protocol):
    """Just enough of HTTP: a request's head, its body by its length, an answer with a length."""

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, rest = self._buffer.partition(b"\r\n\r\n")
            length = next((int(h[15:]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")), 0)
            if len(rest) < length:
                return
            body, self._buffer = rest[:length], rest[length:]
            self._answer(head.split(b" ", 2)[1], json.loads(body) if body else None)

    def _answer(self, path: bytes, body: Any) -> None:
        if path.endswith(b"/models"):
            self._send(b'{"data": [{"id": "m", "max_model_len": 100000}]}', b"application/json")
        elif body is None or not path.endswith(b"completions"):
            self._send(b"{}", b"application/json", b"404 Not Found")
        else:
            chat = "messages" in body
            dialect = "chat" if chat else "text" if isinstance(body["prompt"], str) else "token_ids"
            key = dialect, body["max_tokens"]
            self._send(answer(*key), b"text/event-stream")

    def _send(self, data: bytes, kind: bytes, status: bytes = b"200 OK") -> None:
        head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (status, kind, len(data))
        self._transport.write(head + data)


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# -- the clients -----------------------------------------------------------------------------------------------

Ask = Callable[[int], Awaitable[None]]
"""Samples so many tokens."""


def body(dialect: str, tokens: int) -> dict[str, Any]:
    asked: dict[str, Any] = {"model": "m", "max_tokens": tokens, "stream": True, "temperature": 1.0, "top_p": 1.0}
    if dialect == "chat":
        return asked | {"messages": [{"role": "user", "content": "Go on."}]}
    return asked | {"prompt": "Go on." if dialect == "text" else [5, 6, 7]}


def bare(url: str, dialect: str, session: aiohttp.ClientSession) -> Ask:
    """Post, split, parse, count."""

    async def ask(tokens: int) -> None:
        seen, rest = 0, b""
        async with session.post(url + PATHS[dialect], json=body(dialect, tokens)) as response:
            async for data in response.content.iter_any():
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    if line.startswith(b"data: {"):
                        choice = json.loads(line[6:])["choices"][0]
                        seen += len(choice["token_ids"]) if dialect == "token_ids" else 1
        assert seen == tokens, (seen, tokens)

    return ask


def ours(backend: HTTPBackend, dialect: str) -> Ask:
    """The same through the backend."""
    conversation = Conversation(({"role": "user", "content": "Go on."},))
    prompt = np.array([5, 6, 7] if dialect == "token_ids" else backend.tokenizer.encode("Go on."))

    async def ask(tokens: int) -> None:
        params, seen = SamplingParams(max_tokens=tokens, logprobs=None), 0
        request = Request(prompt, params, 1, conversation=conversation)
        async with aclosing(backend.generate(request)) as deltas:  # type: ignore[type-var]
            async for delta in deltas:
                seen += len(delta.token_ids)
        assert seen == tokens, (seen, tokens)

    return ask


async def cpu(ask: Ask, requests: int, tokens: int) -> float:
    """CPU seconds of this process for so many requests at once."""
    before = time.process_time()
    await asyncio.gather(*(ask(tokens) for _ in range(requests)))
    return time.process_time() - before


async def compared(url: str, dialect: str, rounds: int) -> list[tuple[str, float, float]]:
    """For tokens and for requests, what a unit costs us and the bare loop, in microseconds."""
    backend = await asyncio.to_thread(
        lambda: HTTPBackend(url, tokenizer=str(MODEL) if dialect == "token_ids" else None, dialect=dialect, **PATIENT)
    )
    rows = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        clients = {"ours": ours(backend, dialect), "bare": bare(url, dialect, session)}
        for what, requests, tokens in (("tokens", STREAMS, TOKENS), ("requests", REQUESTS, SHORT)):
            unit = 1e6 / (requests * tokens if what == "tokens" else requests)
            costs: dict[str, list[float]] = {name: [] for name in clients}
            for _ in range(rounds):
                for name, ask in clients.items():
                    costs[name].append(unit * await cpu(ask, requests, tokens))
            rows.append((what, min(costs["ours"]), min(costs["bare"])))
    await backend.close()
    return rows


async def memory(url: str) -> None:
    """Print how the largest resident set grows with the length of streams and the number of requests."""
    backend = await asyncio.to_thread(lambda: HTTPBackend(url, dialect="text", **PATIENT))
    ask = ours(backend, "text")

    def most() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    print(f"memory     at the start {most():.0f} MB")
    for requests, tokens in ((REQUESTS, SHORT), (STREAMS, TOKENS), (STREAMS, 32_768)):
        await asyncio.gather(*(ask(tokens) for _ in range(requests)))
        print(f"memory     after {requests:,} requests of {tokens:,} tokens at once {most():.0f} MB")
    for _ in range(9):
        await asyncio.gather(*(ask(SHORT) for _ in range(REQUESTS)))
    print(f"memory     after {9 * REQUESTS:,} requests more, {REQUESTS:,} at once {most():.0f} MB")
    await backend.close()


def measure(url: str, rounds: int, with_memory: bool) -> int:
    """Print every row; returns 1 if one costs more than the goal."""
    worst = 0.0
    for dialect in DIALECTS:
        for what, our, their in asyncio.run(compared(url, dialect, rounds)):
            worst = max(worst, our / their)
            costs = f"{our:8.2f} us each, bare {their:8.2f}: {our / their:.2f} times"
            print(f"{dialect:10} {what:9} {costs}", flush=True)
    if with_memory:
        asyncio.run(memory(url))
    return 0 if worst <= GOAL else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="measure memory, too")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
    with subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            return measure(f"http://127.0.0.1:{int(process.stdout.readline())}", options.rounds, options.memory)
        finally:
            process.kill()


if __name__ == "__main__":
    sys.exit(main())
