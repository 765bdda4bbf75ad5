"""The scripted server and the fake clock themselves: the foundations of the client's tests."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request

import numpy as np
import pytest

from tests.backends.conformance import Subject
from tests.backends.fake_clock import FakeClock
from tests.backends.scripted_server import (
    Asked,
    Reply,
    by_path,
    in_turn,
    limited,
    served,
    serving,
    sse,
    text,
    text_only,
)
from widthwise.backends.http.backend import HTTPBackend
from widthwise.core.backend import Request, SamplingParams


def ask(url: str, body: object = None) -> tuple[int, bytes]:
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=600) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_what_is_asked_is_answered_and_noted() -> None:
    script = by_path(completions=in_turn(Reply("one"), Reply({"two": 2})), chat_completions=Reply("chat"))
    with served(script) as server:
        answers = [ask(f"{server.url}/v1/completions?a=1", {"n": i}) for i in range(3)]
        chat = ask(f"{server.url}/v1/chat/completions", {})
        assert ask(f"{server.url}/v1/models")[0] == 200
        assert ask(f"{server.url}/elsewhere")[0] == 404
    assert answers == [(200, b"one"), (200, b'{"two": 2}'), (200, b'{"two": 2}')]
    assert chat == (200, b"chat")
    assert [body["n"] for body in server.bodies()[:3]] == [0, 1, 2]
    assert server.asked[0].query == "a=1"


def test_a_stream_is_cut_to_the_byte() -> None:
    whole = text("a", "b")
    with served(in_turn(*(Reply(whole, cut=n, piece=3, plain=True) for n in range(0, len(whole), 7)))) as server:
        for n in range(0, len(whole), 7):
            assert ask(f"{server.url}/v1/completions", {})[1] == whole[:n]


def test_events_end_as_they_are_told_to() -> None:
    assert sse({"a": 1}, line="\r") == b'data: {"a": 1}\r\rdata: [DONE]\r\r'
    assert sse(done=False) == b""


def test_more_than_the_limit_is_refused_until_its_time_has_passed() -> None:
    script = limited(2, 10.0, Reply())
    statuses = [
        script(Asked("POST", "/v1/completions", "", {}, {}, 0, at)).status for at in (0, 1, 2, 10.5, 10.9, 11.5)
    ]
    assert statuses == [200, 200, 429, 200, 429, 200]


def test_ten_minutes_pass_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend with its loop in its own thread, a server and the caller, all on one clock."""
    clock = FakeClock()
    clock.install(monkeypatch)

    async def work() -> list[int]:
        async with serving(text_only(Reply(text("7"), first=590.0))) as server:
            backend = await asyncio.to_thread(HTTPBackend, server.url)
            prompt = np.array(backend.tokenizer.encode("Go."))
            before = clock.now
            sampled = await Subject(backend, int).run(Request(prompt, SamplingParams(max_tokens=5), 1))
            assert clock.now - before == pytest.approx(590.0, abs=5)
            await backend.close()
            return sampled.ids

    assert len(clock.run(work())) == 1


def test_of_two_who_wait_the_earlier_goes_on_first() -> None:
    clock = FakeClock()
    order: list[str] = []

    async def wait(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        order.append(f"{name} {clock.now - 1000:g}")

    async def both() -> None:
        other = clock.loop()
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(other.run_until_complete, wait("thread", 50)))
            group.create_task(wait("here", 100))
        other.close()

    clock.run(both())
    assert order == ["thread 50", "here 100"]
