"""Servers that refuse: when they are asked again, when never, and how their limits are respected."""

# ruff: noqa: E501  (the exact words of servers)

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any

import numpy as np
import pytest

from tests.backends.fake_clock import FakeClock
from tests.backends.scripted_server import (
    MARK,
    MODELS,
    Asked,
    Reply,
    Script,
    ScriptedServer,
    chat,
    chat_only,
    in_turn,
    limited,
    refusal,
    serving,
    text,
    text_only,
)  # fmt: skip
from widthwise.backends.http import rate_headers
from widthwise.backends.http.backend import HTTPBackend
from widthwise.backends.http.rate_headers import duration, remaining, told_wait, used_up
from widthwise.backends.http.statuses import status_error
from widthwise.core.backend import Delta, Request, SamplingParams
from widthwise.core.conversation import Conversation
from widthwise.core.errors import AccessRefused, BackendError, PromptTooLong
from widthwise.core.session.ledger import Ledger
from widthwise.core.session.scheduler import Scheduler

ANSWER = Reply(text(" 7"))

# -- what refusals mean ----------------------------------------------------------------------------------------

TOO_LONG = {
    "OpenAI": (400, "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens."),
    "OpenAI's code": (400, '{"error": {"message": "Too much.", "code": "context_length_exceeded"}}'),
    "vLLM": (400, "The decoder prompt (length 1100) is longer than the maximum model length of 1024."),
    "llama.cpp": (400, "the request exceeds the available context size, try increasing it"),
    "llama.cpp's type": (400, '{"error": {"code": 400, "message": "n", "type": "exceed_context_size_error"}}'),
    "Mistral": (400, "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length"),
    "SGLang": (400, "The input (5000 tokens) is longer than the model's context length (4096 tokens)."),
    "SGLang's other": (400, "Requested token count exceeds the model's maximum context length of 4096 tokens."),
    "TGI": (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 and 400"),
    "TGI's other": (422, "Input validation error: `inputs` must have less than 1024 tokens. Given: 1100"),
    "Anthropic": (400, "prompt is too long: 205484 tokens > 199999 maximum"),
    "Anthropic's other": (400, "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"),
    "DashScope": (400, "Range of input length should be [1, 30720]"),
    "Groq": (400, "Please reduce the length of the messages or completion."),
    "Groq's 413": (413, "Request too large for model x: Limit 6000, Requested 7000, please reduce your message size"),
    "Gemini": (400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
    "Ollama": (500, "the input length exceeds the context length"),
    "Cohere": (400, "too many tokens: total number of tokens in the prompt cannot exceed 4081"),
    "Bedrock": (400, "Input is too long for requested model."),
}  # fmt: skip

NEVER_AGAIN = {
    "no key": (401, "Incorrect API key provided"),
    "no money": (402, "Insufficient Balance"),
    "not allowed": (403, "Project has no access"),
    "no quota": (429, '{"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}'),
    "no credit": (400, "Your credit balance is too low to access the API."),
    "no model": (404, '{"error": {"message": "The model `x` does not exist", "code": "model_not_found"}}'),
    "an invalid model": (400, '{"error": {"message": "invalid model ID", "type": "invalid_request_error"}}'),
    "a bad key in a 400": (400, "API key not valid. Please pass a valid API key."),
}
AGAIN = [408, 409, 425, 429, 498, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529]


@pytest.mark.parametrize("server", TOO_LONG)
def test_a_prompt_that_does_not_fit(server: str) -> None:
    status, body = TOO_LONG[server]
    error = status_error("http://h/v1/completions", status, body)
    assert isinstance(error, PromptTooLong)
    assert not error.retryable


@pytest.mark.parametrize("why", NEVER_AGAIN)
def test_what_is_refused_for_good(why: str) -> None:
    error = status_error("http://h/v1/completions", *NEVER_AGAIN[why])
    assert isinstance(error, AccessRefused)
    assert not error.retryable


@pytest.mark.parametrize("status", range(400, 530))
def test_which_statuses_may_pass(status: int) -> None:
    error = status_error("http://h/v1/completions", status, "no")
    assert error.retryable is (status in AGAIN)
    assert isinstance(error, AccessRefused) is (status in (401, 402, 403))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, "You exceeded your current quota, please check your plan. Please retry in 23.5s."),  # Gemini's limit
        (400, "max_tokens must be at least 1"),
        (404, "Not Found"),
        (500, "context deadline exceeded"),
        (422, '{"detail": [{"loc": ["body", "seed"], "msg": "extra fields not permitted"}]}'),
    ],
)
def test_what_is_neither(status: int, body: str) -> None:
    error = status_error("http://h/v1/completions", status, body)
    assert not isinstance(error, AccessRefused | PromptTooLong)


def test_a_server_that_wants_to_be_left_alone_for_a_day_is_not_waited_for() -> None:
    assert isinstance(status_error("http://h", 429, "daily limit", {"Retry-After": "86400"}), AccessRefused)
    assert not isinstance(status_error("http://h", 429, "limit", {"Retry-After": "600"}), AccessRefused)


# -- when to ask again -----------------------------------------------------------------------------------------

NOW = 1_800_000_000.0
IN_90 = formatdate(NOW + 90, usegmt=True)


@pytest.mark.parametrize(
    ("headers", "body", "wait"),
    [
        ({"Retry-After": "7"}, "", 7),
        ({"retry-after": "1.5"}, "", 1.5),
        ({"Retry-After": IN_90}, "", 90),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, "", 0),
        ({"retry-after-ms": "250", "retry-after": "1"}, "", 0.25),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m30s"}, "", 90),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s",
          "x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "20ms"}, "", 360),
        ({"x-ratelimit-reset-requests": "120ms"}, "", 0.12),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int((NOW + 90) * 1000))}, "", 90),
        ({"anthropic-ratelimit-requests-remaining": "0",
          "anthropic-ratelimit-requests-reset": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW + 90))}, "", 90),
        ({}, "Rate limit reached. Please try again in 7.66s.", 7.66),
        ({}, "Please try again in 1m2s", 62),
        ({}, '{"error": {"details": [{"retryDelay": "23s"}]}}', 23),
        ({}, "Please retry after 20 seconds", 20),
        ({}, "slow down", None),
        ({"Retry-After": "soon"}, "", None),
    ],
)  # fmt: skip
def test_a_servers_wish(
    headers: Mapping[str, str], body: str, wait: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_headers, "time", lambda: NOW)
    assert told_wait(headers, body) == (None if wait is None else pytest.approx(wait))


@pytest.mark.parametrize("text", ["", "x", "-", "1h x", "nan", "inf", "9" * 400, "\x00", "1e999", "٣s"])
def test_a_time_that_is_none(text: str) -> None:
    assert duration(text) is None or 0 <= (duration(text) or 0) < 1e15


def test_what_remains() -> None:
    assert remaining({"x-ratelimit-remaining-requests": "3", "x-ratelimit-remaining-tokens": "0"}) == 3
    assert remaining({}) is None
    assert used_up({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "1s"}) is None
    assert used_up({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1s"}) == 1


# -- limits that are kept to -----------------------------------------------------------------------------------


class Told:
    """How a server reports its limit, given the time to wait."""

    @staticmethod
    def seconds(wait: float) -> Mapping[str, str]:
        return {"Retry-After": str(int(wait) + 1)}

    @staticmethod
    def reset(wait: float) -> Mapping[str, str]:
        return {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": f"{wait:.3f}s"}

    @staticmethod
    def nothing(wait: float) -> Mapping[str, str]:
        return {}


def run_on(
    clock: FakeClock,
    script: Script,
    work: Callable[[HTTPBackend, ScriptedServer], Any],
    patch: pytest.MonkeyPatch,
    only: Callable[[Script], Script] = text_only,
    models: Any = MODELS,
) -> Any:
    """The result of ``work`` with a backend whose server is on the clock too."""
    clock.install(patch)

    async def everything() -> Any:
        async with serving(only(script), models) as server:
            backend = await asyncio.to_thread(HTTPBackend, server.url)
            try:
                return await work(backend, server)
            finally:
                await backend.close()

    return clock.run(everything())


async def finish(backend: HTTPBackend, number: int) -> str | None:
    """How one request ended after all its attempts; None if it was lost."""
    question = f"{MARK} {number}"
    prompt = np.array(backend.tokenizer.encode(question))
    asked = Conversation(({"role": "user", "content": question},))
    params = SamplingParams(max_tokens=5, logprobs=None)
    request = Request(prompt, params, number, problem=f"p{number // 4}", conversation=asked)
    deltas: list[Delta] = []
    try:
        async for delta in Scheduler(backend).generate(request, Ledger()):
            deltas.append(delta)
    except BackendError:
        return None
    return deltas[-1].finish


@pytest.mark.parametrize("told", [Told.seconds, Told.reset, Told.nothing])
@pytest.mark.parametrize("only", [text_only, chat_only])
def test_a_limit_of_requests_is_learned(told: Any, only: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 problems with 4 samples each, 20 requests per 10 seconds: nothing is lost, and little is refused.

    The limit allows the last request after 30 seconds and the whole in 40; 1.3 times that is 52. The bound is looser
    for a server that does not say when it accepts more.
    """
    clock = FakeClock()

    async def work(backend: HTTPBackend, server: ScriptedServer) -> tuple[list[str | None], int, float]:
        began = clock.now
        ends = await asyncio.gather(*(finish(backend, i) for i in range(80)))
        return ends, len(server.attempts), clock.now - began

    said = Reply(chat(" 7")) if only is chat_only else ANSWER
    ends, attempts, seconds = run_on(clock, limited(20, 10.0, said, told), work, monkeypatch, only)
    assert ends == ["stop"] * 80
    assert attempts - 80 < 30
    assert seconds <= (52 if told is not Told.nothing else 80)


def test_a_wish_holds_for_all_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    first = refusal(429, headers={"Retry-After": "100"})

    async def work(backend: HTTPBackend, server: ScriptedServer) -> list[Asked]:
        refused = asyncio.create_task(finish(backend, 0))
        await asyncio.sleep(5)
        ends = await asyncio.gather(*(finish(backend, i) for i in range(1, 9)), refused)
        assert ends == ["stop"] * 9
        return server.attempts

    attempts = run_on(clock, in_turn(first, ANSWER), work, monkeypatch)
    assert len(attempts) == 10
    assert attempts[1].at >= attempts[0].at + 100


def test_a_limit_that_is_used_up_is_not_run_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose answers say how many requests are left: after the first answer, nothing is refused."""
    clock = FakeClock()
    taken: list[float] = []

    def script(asked: Asked) -> Reply:
        taken[:] = [at for at in taken if at > asked.at - 10]
        if len(taken) >= 20:
            return refusal(429, headers=Told.reset(taken[0] + 10 - asked.at))
        taken.append(asked.at)
        left = {"x-ratelimit-remaining-requests": str(20 - len(taken))}
        return Reply(ANSWER.body, headers={**left, "x-ratelimit-reset-requests": f"{taken[0] + 10 - asked.at:.3f}s"})

    async def work(backend: HTTPBackend, server: ScriptedServer) -> int:
        assert await asyncio.gather(*(finish(backend, i) for i in range(80))) == ["stop"] * 80
        return len(server.attempts)

    assert run_on(clock, script, work, monkeypatch) - 80 <= 5


def test_a_first_token_may_take_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()

    async def work(backend: HTTPBackend, server: ScriptedServer) -> None:
        assert await finish(backend, 0) == "stop"
        assert await finish(backend, 1) == "stop"
        assert len(server.attempts) == 2

    run_on(clock, in_turn(Reply(ANSWER.body, before=600.0), Reply(ANSWER.body, first=600.0)), work, monkeypatch)


@pytest.mark.parametrize("only", [text_only, chat_only])
def test_a_server_that_loads_for_a_minute_is_waited_for(only: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is absent, then loading; the client finds out what it is once it is ready."""
    clock = FakeClock()
    began: list[float] = []
    said = Reply(chat(" 7")) if only is chat_only else ANSWER

    def loading(script: Script) -> Script:
        def answer(asked: Asked) -> Reply:
            began.append(asked.at)
            if asked.at < began[0] + 60:
                return refusal(503, "Loading model", type="unavailable_error")
            if asked.path.endswith("/models"):
                return Reply({"data": [{"id": "words"}]})
            return only(script)(asked)

        return answer

    async def work(backend: HTTPBackend, server: ScriptedServer) -> None:
        assert backend.describe()["dialect"] == ("chat" if only is chat_only else "text")
        assert await finish(backend, 0) == "stop"
        assert 60 <= server.attempts[0].at - began[0] < 80

    run_on(clock, lambda _: said, work, monkeypatch, loading, models=None)
