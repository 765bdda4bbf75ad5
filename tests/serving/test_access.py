"""Which clients may use a server, and how many at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

import widthwise as ww
from tests.core.scripted import Scripted
from tests.serving.serving import Server, question, served
from widthwise.core.backend import Delta, Request

KEY = "sk-abcdefghijklmnop"
ASK = question("What is 1 + 1?")


class Held(Scripted):
    """Says nothing until ``go`` is set."""

    def __init__(self) -> None:
        super().__init__(["= 2"])
        self.go = asyncio.Event()
        self.begun = asyncio.Semaphore(0)

    async def generate(self, request: Request) -> AsyncIterator[Delta]:
        self.begun.release()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.closed += 1
            raise
        async for delta in super().generate(request):
            yield delta


async def test_keys_are_checked_on_every_path_but_health() -> None:
    async with served(Scripted(["= 2"]), "single()", keys=(KEY, "another-key")) as server:
        for header in ("", "Bearer", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", f"Basic {KEY}", KEY, "Bearer \xe9"):
            status, said, headers = await server.post(ASK, Authorization=header)
            assert (status, said["error"]["code"]) == (401, "invalid_api_key")
            assert headers["WWW-Authenticate"] == "Bearer"
        for key in (KEY, "another-key"):
            assert (await server.post(ASK, Authorization=f"Bearer {key}"))[0] == 200
        assert (await server.get("/health"))[0] == 200
        assert [(await server.get(path))[0] for path in ("/metrics", "/v1/models", "/")] == [401, 401, 401]


async def test_a_server_without_a_key_answers_to_its_own_machines_name_only() -> None:
    """DNS rebinding: a page whose domain its owner points at this machine still has another origin."""
    async with served(Scripted(["= 2"]), "single()") as server:
        port = server.url.split(":")[2].split("/")[0]
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "[::2]"):
            assert (await server.post(ASK, Host=host))[0] == 403
        for host in ("localhost", f"127.0.0.1:{port}", f"[::1]:{port}", "LOCALHOST:1"):
            assert (await server.post(ASK, Host=host))[0] == 200


async def test_web_pages_read_replies_only_where_they_are_let() -> None:
    page, other = "https://page.example", "https://other.example"
    async with served(Scripted(["= 2"]), "single()") as server:
        _, _, headers = await server.post(ASK, Origin=page)
        assert "Access-Control-Allow-Origin" not in headers
    async with served(Scripted(["= 2"]), "single()", origins=(page,), keys=(KEY,)) as server:
        asked = {
            "Origin": page,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        }
        async with server.http.options(f"{server.url}/chat/completions", headers=asked) as response:
            assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (200, page)
        _, _, allowed = await server.post(ASK, Origin=page, Authorization=f"Bearer {KEY}")
        _, _, denied = await server.post(ASK, Origin=other, Authorization=f"Bearer {KEY}")
    assert allowed["Access-Control-Allow-Origin"] == page
    assert "Access-Control-Allow-Origin" not in denied


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])
async def test_an_address_that_others_reach_needs_a_key(host: str) -> None:
    with pytest.raises(ww.UsageError, match=r"set a key .*or serve at 127\.0\.0\.1"):
        await ww.serve_async("single()", Scripted(["= 2"]), host=host, port=0)


async def test_a_full_queue_is_told_when_to_come_again_and_nobody_else_is_refused() -> None:
    backend = Held()
    async with served(backend, "single()", concurrency=2, queue=1) as server:
        working = [asyncio.create_task(server.post(ASK)) for _ in range(2)]
        for _ in working:
            await backend.begun.acquire()
        waiting = asyncio.create_task(server.post(ASK))
        await _until(server, "widthwise_requests_waiting 1.0")
        status, said, headers = await server.post(ASK)
        assert (status, said["error"]["type"], said["error"]["code"]) == (
            429,
            "rate_limit_error",
            "rate_limit_exceeded",
        )
        assert int(headers["Retry-After"]) >= 1
        assert (await server.get("/health"))[0] == 200
        assert len(backend.requests) == 0
        backend.go.set()
        assert [status for status, _, _ in await asyncio.gather(*working, waiting)] == [200, 200, 200]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_has_its_work_aborted_and_its_place_freed(stream: bool) -> None:
    backend = Held()
    async with served(backend, "best_of_n(n=3)", concurrency=1, queue=1) as server:
        leaver = asyncio.create_task(_ask_and_stay(server, {**ASK, "stream": stream}))
        for _ in range(3):
            await backend.begun.acquire()
        waiter = asyncio.create_task(_ask_and_stay(server, ASK))
        await _until(server, "widthwise_requests_waiting 1.0")
        waiter.cancel()  # a client that leaves while it waits frees its place in the queue
        await _until(server, "widthwise_requests_waiting 0.0")
        leaver.cancel()
        await _until(server, "widthwise_requests_running 0.0")
        assert backend.closed == 3
        backend.go.set()
        assert (await server.post(ASK))[0] == 200
        await _until(server, 'widthwise_requests_total{model="widthwise",status="499"} 2.0')


async def test_what_has_not_ended_when_the_grace_is_over_is_aborted_and_told_so() -> None:
    backend = Held()
    async with aiohttp.ClientSession() as http:
        async with served(backend, "single()", grace=0) as server:
            asking = asyncio.create_task(Server(server.url, [], http).post(ASK))
            await backend.begun.acquire()
        status, said, headers = await asking
    assert (status, said["error"]["type"], headers["Retry-After"]) == (503, "server_error", "5")
    assert backend.closed == 1


async def test_no_log_has_a_prompt_or_a_key(caplog: pytest.LogCaptureFixture) -> None:
    secret = "the purple elephant"
    caplog.set_level(logging.DEBUG)
    async with served(Scripted(["no answer"]), "single()", keys=(KEY,)) as server:
        bearer = f"Bearer {KEY}"
        await server.post(question(secret), Authorization=bearer)
        await server.post(question(secret, temperature=-1), Authorization=bearer)
        await server.post(question(secret, secret), Authorization=bearer)
        await server.post({"model": secret}, Authorization=f"{bearer}x")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("widthwise", "uvicorn"))]
    assert any("widthwise, 200" in line for line in ours)
    assert not [line for line in ours if secret in line or KEY in line]


async def test_the_figures_are_those_of_the_ledgers() -> None:
    async with served(Scripted(["= 2", "= 3"]), {"a": "best_of_n(n=2)"}, allow_strategies=True) as server:
        ledgers = [
            (await server.post(question("1 + 1?", name)))[1]["widthwise"]["ledger"] for name in ("a", "a", "single()")
        ]
        await server.post(question("1 + 1?", "unknown"))
        status, text = await server.get("/metrics")
    assert status == 200
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    sampled = sum(ledger["sampled"] for ledger in ledgers[:2])
    assert float(figures['widthwise_tokens_total{kind="sampled",model="a"}']) == sampled
    assert float(figures['widthwise_samples_total{model="a"}']) == 4
    assert float(figures['widthwise_tokens_total{kind="sampled",model="(own)"}']) == ledgers[2]["sampled"]
    assert float(figures['widthwise_requests_total{model="a",status="200"}']) == 2
    assert float(figures['widthwise_requests_total{model="(unread)",status="404"}']) == 1


async def _ask_and_stay(server: Server, body: Any) -> None:
    async with aiohttp.ClientSession() as http, http.post(f"{server.url}/chat/completions", json=body) as response:
        await response.read()


async def _until(server: Server, line: str) -> None:
    """Fetch the figures until they contain this line."""
    async for lines in _figures(server):
        if line in lines:
            return


async def _figures(server: Server) -> AsyncIterator[list[str]]:
    while True:
        yield (await server.get("/metrics"))[1].splitlines()
