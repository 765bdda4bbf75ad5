"""A server that does what a script says: any behaviour that a client may meet, byte for byte.

    def script(asked):                        # called for each request but those for the list of models
        return Reply(text("7", " =", " 7"))   # a stream of completion chunks

    with served(script) as server:            # in its own thread
        backend = HTTPBackend(server.url)
        ...
    server.asked                              # all requests, in order of arrival

``in_turn`` gives one reply after another, ``by_path`` one script for each path, ``limited`` answers 429 to more than so
many requests in so many seconds. It waits on the loop's clock: with ``FakeClock`` it takes no time (``async with
serving(script)`` there).
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

End = Literal["end", "close", "reset", "hang"]
"""How an answer ends: properly; with the connection closed too early; with a reset; or with nothing more sent."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as received. ``number`` counts the requests that reached the script, from 0; ``at`` is the time."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: Any
    number: int
    at: float


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: ``body`` is bytes, a text, or a value that is sent as JSON.

    The headers are sent after ``before`` silent seconds, the body ``first`` seconds later, in pieces of ``piece``
    bytes, ``pause`` seconds apart. After ``cut`` bytes the answer stops in the way that ``end`` says. ``plain`` sends
    neither a length nor chunks, so that closing the connection looks like the answer's end.
    """

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    end: End = "end"
    piece: int | None = None
    before: float = 0.0
    first: float = 0.0
    pause: float = 0.0
    plain: bool = False

    @property
    def data(self) -> bytes:
        body = self.body
        data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        return data[: self.cut]

    @property
    def pieces(self) -> list[bytes]:
        size = self.piece or max(len(self.data), 1)
        return [self.data[i : i + size] for i in range(0, len(self.data), size)]


Script = Callable[[Asked], Reply]


# -- what servers say ------------------------------------------------------------------------------------------


def sse(*events: Any, done: bool = True, line: str = "\n") -> bytes:
    """Server-sent events: texts as they are, other values as JSON; ``line`` ends each line."""
    datas = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return "".join(f"data: {data}{line}{line}" for data in [*datas, *(["[DONE]"] if done else [])]).encode()


def text_events(*words: str, finish: str | None = "stop", **rest: Any) -> list[dict[str, Any]]:
    """Completion chunks, one per word; the last says how it ended."""
    choices: list[dict[str, Any]] = [{"index": 0, "text": word, "finish_reason": None} for word in words]
    choices[-1] |= {"finish_reason": finish, **rest}
    return [{"object": "text_completion", "choices": [choice]} for choice in choices]


def chat_events(*words: str, finish: str | None = "stop", **rest: Any) -> list[dict[str, Any]]:
    """Chunks of a chat completion."""
    deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in words), {}]
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices[-1] |= {"finish_reason": finish, **rest}
    return [{"object": "chat.completion.chunk", "choices": [choice]} for choice in choices]


def id_events(*pieces: Sequence[int], finish: str | None = "stop", **rest: Any) -> list[dict[str, Any]]:
    """Completion chunks with token ids."""
    choices: list[dict[str, Any]] = [
        {"index": 0, "text": "", "token_ids": list(piece), "finish_reason": None} for piece in pieces
    ]
    choices[-1] |= {"finish_reason": finish, **rest}
    return [{"object": "text_completion", "choices": [choice]} for choice in choices]


def text(*words: str, finish: str | None = "stop", done: bool = True, **rest: Any) -> bytes:
    return sse(*text_events(*words, finish=finish, **rest), done=done)


def chat(*words: str, finish: str | None = "stop", done: bool = True, **rest: Any) -> bytes:
    return sse(*chat_events(*words, finish=finish, **rest), done=done)


def refusal(status: int, message: str = "no", **rest: Any) -> Reply:
    """An error in OpenAI's form; ``rest`` may hold ``code``, ``type`` and the reply's ``headers``."""
    headers = rest.pop("headers", {})
    return Reply({"error": {"message": message, **rest}}, status, headers)


# -- scripts ---------------------------------------------------------------------------------------------------


def in_turn(*replies: Reply | Script) -> Script:
    """One reply after another; the last one is repeated."""
    left = list(replies)

    def script(asked: Asked) -> Reply:
        reply = left.pop(0) if len(left) > 1 else left[0]
        return reply if isinstance(reply, Reply) else reply(asked)

    return script


def by_path(**scripts: Reply | Script) -> Script:
    """One script for each ending of a path (``completions``, ``chat_completions``, ``props``); otherwise 404."""

    def script(asked: Asked) -> Reply:
        for name in sorted(scripts, key=len, reverse=True):
            if asked.path.endswith("/" + name.replace("_", "/")):
                reply = scripts[name]
                return reply if isinstance(reply, Reply) else reply(asked)
        return refusal(404, "Not Found")

    return script


def limited(
    count: int, seconds: float, reply: Reply | Script, headers: Callable[[float], Mapping[str, str]] | None = None
) -> Script:
    """At most ``count`` requests in any ``seconds``; it refuses others, with ``headers`` that give the time to wait."""
    told = headers or (lambda wait: {"Retry-After": str(int(wait) + 1)})
    taken: list[float] = []

    def script(asked: Asked) -> Reply:
        taken[:] = [at for at in taken if at > asked.at - seconds]
        if len(taken) >= count:
            return refusal(429, "Rate limit reached", headers=told(taken[0] + seconds - asked.at))
        taken.append(asked.at)
        return reply if isinstance(reply, Reply) else reply(asked)

    return script


MARK = "Go."
"""Marks the tests' own prompts: the requests with which a client probes a server never contain it."""


def text_only(reply: Reply | Script) -> Script:
    """A server for text completions that goes on counting; the script answers prompts with the MARK.

    It refuses prompts in token ids, and has no other paths.
    """

    def completions(asked: Asked) -> Reply:
        if not isinstance(asked.body.get("prompt"), str):
            return refusal(400, "prompt must be a text")
        if MARK in asked.body["prompt"]:
            return reply if isinstance(reply, Reply) else reply(asked)
        choice = {"index": 0, "text": " 5, 6, 7", "finish_reason": "length"}
        return Reply(text(" 5, 6, 7", finish="length") if asked.body.get("stream") else {"choices": [choice]})

    return by_path(completions=completions)


def chat_only(reply: Reply | Script) -> Script:
    """A server for chat completions only; the script answers messages with the MARK."""

    def completions(asked: Asked) -> Reply:
        if any(MARK in str(message.get("content")) for message in asked.body["messages"]):
            return reply if isinstance(reply, Reply) else reply(asked)
        choice = {"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}
        return Reply(chat("Yes.") if asked.body.get("stream") else {"choices": [choice]})

    return by_path(chat_completions=completions)


# -- the server ------------------------------------------------------------------------------------------------


class ScriptedServer:
    """``url`` is its origin; ``models`` are the entries of ``/models``, a reply in their place, or None for no list."""

    def __init__(self, script: Script, models: Sequence[Mapping[str, Any]] | Reply | None) -> None:
        self.script, self.models = script, models
        self.asked: list[Asked] = []
        self.url = ""

    @property
    def attempts(self) -> list[Asked]:
        """The test's own requests."""
        return [asked for asked in self.asked if MARK in json.dumps(asked.body)]

    def bodies(self, path: str = "completions") -> list[Any]:
        """The bodies of the requests to a path."""
        return [asked.body for asked in self.asked if asked.path.endswith(path)]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        data = await request.read()
        asked = Asked(
            request.method,
            request.path,
            request.query_string,
            {name.lower(): value for name, value in request.headers.items()},
            json.loads(data) if data else None,
            len(self.asked),
            asyncio.get_running_loop().time(),
        )
        if request.method == "GET" and request.path.endswith("/models") and self.models is not None:
            return await _send(request, self._listed())
        self.asked.append(asked)
        return await _send(request, self.script(asked))

    def _listed(self) -> Reply:
        return self.models if isinstance(self.models, Reply) else Reply({"object": "list", "data": self.models})


async def _send(request: web.Request, reply: Reply) -> web.StreamResponse:
    await asyncio.sleep(reply.before)
    kind = "text/event-stream" if reply.data.lstrip().startswith((b"data", b":", b"event")) else "application/json"
    response = web.StreamResponse(status=reply.status, headers={"Content-Type": kind, **reply.headers})
    if reply.plain:
        response.force_close()
    else:
        response.enable_chunked_encoding()
    if reply.end == "reset" and not reply.data:
        return _reset(request, response)
    await response.prepare(request)
    await asyncio.sleep(reply.first)
    for number, piece in enumerate(reply.pieces):
        if number and reply.pause:
            await asyncio.sleep(reply.pause)
        await response.write(piece)
        if reply.piece:
            await asyncio.sleep(0)
    return await _ended(request, response, reply.end)


async def _ended(request: web.Request, response: web.StreamResponse, end: End) -> web.StreamResponse:
    if end == "hang":
        await asyncio.sleep(1e6)
    elif end == "reset":
        return _reset(request, response)
    elif end == "close":
        assert request.transport is not None
        request.transport.close()
    else:
        await response.write_eof()
    return response


def _reset(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return response


MODELS = ({"id": "words", "object": "model"},)


@asynccontextmanager
async def serving(
    script: Script,
    models: Sequence[Mapping[str, Any]] | Reply | None = MODELS,
    *,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[ScriptedServer]:
    """The server in the running loop."""
    server = ScriptedServer(script, models)
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, 0, ssl_context=tls).start()
    server.url = f"http{'s' if tls else ''}://{f'[{host}]' if ':' in host else host}:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


@contextmanager
def served(script: Script, *models: Any, **options: Any) -> Iterator[ScriptedServer]:
    """The server in its own thread, with the arguments of ``serving``."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    started: list[ScriptedServer] = []
    over = asyncio.Event()

    async def work() -> None:
        async with serving(script, *models, **options) as server:
            started.append(server)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(work()), daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        loop.close()
