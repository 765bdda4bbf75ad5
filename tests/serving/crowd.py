"""Many clients at once, half of which leave: what the server counted, compared with what its model sampled."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.serving.serving import Server, question, served
from widthwise.core.backend import Delta, Request
from widthwise.core.session.session import Session

_QUIET = 5


class Counted:
    """A backend that counts the tokens that it delivers and its running requests.

    Later siblings take more turns of the event loop per delta, so that clients leave in the middle of rounds.
    """

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.sampled = self.live = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def generate(self, request: Request) -> AsyncIterator[Delta]:
        self.live += 1
        try:
            async with aclosing(self._backend.generate(request)) as deltas:
                async for delta in deltas:
                    self.sampled += len(delta.token_ids)
                    yield delta
                    for _ in range(request.index):
                        await asyncio.sleep(0)
        finally:
            self.live -= 1


@dataclass(slots=True)
class Crowd:
    """What happened to the clients: ``answered`` and ``left`` hold their numbers, ``wrong`` the bad replies.

    ``sampled`` counts the tokens that the model delivered, ``charged`` those in all of the server's ledgers, and
    ``counted`` the requests that the server answered. At the end, ``live`` counts the requests that the model still
    works on, and ``sessions`` the sessions that still exist.
    """

    answered: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    wrong: list[Any] = field(default_factory=list)
    sampled: int = 0
    charged: int = 0
    counted: int = 0
    live: int = 0
    sessions: int = 0


async def crowd(
    backend: Any, strategy: str, texts: Sequence[str], *, leavers: int, seed: int = 0, **offer: Any
) -> Crowd:
    """A client for each of ``texts``, all at once; ``leavers`` of them, drawn at random, leave.

    Each leaves once a random number of other clients have their answers. That may be before its turn or in the middle
    of its work; a client that is served sooner does not leave.
    """
    rng, counted, outcome = random.Random(seed), Counted(backend), Crowd()
    others = weakref.WeakSet(_sessions())  # those that other tests of this process have left
    going = set(rng.sample(range(len(texts)), leavers))
    patience = {i: rng.randrange(len(texts) - leavers) for i in sorted(going)}
    streamed = {i: rng.random() < 0.5 for i in range(len(texts))}
    async with served(counted, strategy, **offer) as server:
        before = len(asyncio.all_tasks())
        answers = asyncio.Condition()

        async def client(number: int) -> None:
            asking = asyncio.create_task(_answer(server, number, texts[number], stream=streamed[number]))
            if number in going:
                enough = asyncio.create_task(_so_many(answers, outcome, patience[number]))
                await asyncio.wait({asking, enough}, return_when=asyncio.FIRST_COMPLETED)
                enough.cancel()
            if number in going and not asking.done():
                asking.cancel()
                await asyncio.wait([asking])
                outcome.left.append(number)
                return
            if (wrong := await asking) is not None:
                outcome.wrong.append(wrong)
            async with answers:
                outcome.answered.append(number)
                answers.notify_all()

        await asyncio.gather(*map(client, range(len(texts))))
        figures = await _at_rest(server, before)
        outcome.charged = round(sum(v for k, v in figures.items() if _is_generated(k)))
        outcome.counted = round(figures['widthwise_requests_total{model="widthwise",status="200"}'])
    outcome.sampled, outcome.live = counted.sampled, counted.live
    gc.collect()
    outcome.sessions = sum(session not in others for session in _sessions())
    return outcome


def _sessions() -> list[Session]:
    return [each for each in gc.get_objects() if isinstance(each, Session)]


async def _so_many(answers: asyncio.Condition, outcome: Crowd, number: int) -> None:
    async with answers:
        await answers.wait_for(lambda: len(outcome.answered) >= number)


async def _answer(server: Server, number: int, text: str, *, stream: bool) -> Any:
    """Ask on a new connection; returns None for a complete answer to this question, otherwise what was received."""
    body = question(text, stream=stream, metadata={"problem": f"p{number}", "seed": "1"}, widthwise={"progress": True})
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(None)) as http,
        http.post(f"{server.url}/chat/completions", json=body) as response,
    ):
        said = await response.text()
    whole = f'"problem":"p{number}","seed":1' in said and (not stream or said.endswith("data: [DONE]\n\n"))
    return None if response.status == 200 and whole else (number, response.status, said[:200])


async def _at_rest(server: Server, tasks: int) -> dict[str, float]:
    """The server's figures, once it is idle and there are no more tasks than before its clients came.

    This must hold several times in a row: the server may notice one turn of the loop later that a client has left.
    """
    quiet = 0
    while True:
        lines = (await server.get("/metrics"))[1].splitlines()
        figures = {k: float(v) for k, v in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}
        busy = figures["widthwise_requests_running"] or figures["widthwise_requests_waiting"]
        quiet = 0 if busy or len(asyncio.all_tasks()) > tasks else quiet + 1
        if quiet == _QUIET:
            return figures


def _is_generated(name: str) -> bool:
    return name.startswith("widthwise_tokens_total") and ('kind="sampled"' in name or 'kind="judging"' in name)
