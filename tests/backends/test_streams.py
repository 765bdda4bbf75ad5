"""Every form in which servers send an answer, and every way in which it ends."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pytest

from tests.backends.fake_clock import FakeClock
from tests.backends.scripted_server import (
    MARK,
    Reply,
    Script,
    ScriptedServer,
    chat_events,
    in_turn,
    refusal,
    serving,
    sse,
    text,
    text_events,
    text_only,
)  # fmt: skip
from widthwise.backends.http.backend import HTTPBackend
from widthwise.backends.http.stream import DONE, _Events
from widthwise.core.backend import Delta, Request, SamplingParams
from widthwise.core.errors import BackendError
from widthwise.core.retry import Retry
from widthwise.core.session.ledger import Ledger
from widthwise.core.session.scheduler import Scheduler

WORDS = (" 3", " +", " 4", " =", " 7")
WHOLE = "".join(WORDS)

T = TypeVar("T")


@dataclass
class Sampled:
    """The outcome of a request: its text, how it ended, or why it failed."""

    text: str
    finish: str | None
    error: str | None


@asynccontextmanager
async def opened(script: Script | Reply, **options: Any) -> AsyncIterator[tuple[HTTPBackend, ScriptedServer]]:
    async with serving(text_only(script)) as server:
        backend = await asyncio.to_thread(lambda: HTTPBackend(server.url, **options))
        yield backend, server
        await backend.close()


async def sample(backend: HTTPBackend, retry: Retry | None = None, **params: Any) -> Sampled:
    """One request, with the scheduler's retries."""
    prompt = np.array(backend.tokenizer.encode(f"1 2 {MARK}"))
    request = Request(prompt, SamplingParams(**{"max_tokens": 50, "logprobs": None, **params}), 1)
    deltas: list[Delta] = []
    error = None
    try:
        async for delta in Scheduler(backend, retry=retry).generate(request, Ledger()):
            deltas.append(delta)
    except BackendError as failure:
        error = str(failure)
    ids = [int(i) for delta in deltas for i in delta.token_ids]
    return Sampled(backend.tokenizer.decode(ids), deltas[-1].finish if deltas else None, error)


def on_the_clock(work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``; pauses take no time."""
    clock = FakeClock()
    with pytest.MonkeyPatch.context() as patch:
        clock.install(patch)
        return clock.run(work)


def answer(reply: Reply | Script, **params: Any) -> tuple[Sampled, int]:
    """What is sampled from a server with these answers, and in how many attempts."""

    async def work() -> tuple[Sampled, int]:
        async with opened(reply) as (backend, server):
            return await sample(backend, **params), len(server.attempts)

    return on_the_clock(work())


# -- forms -----------------------------------------------------------------------------------------------------

_SPLIT = [json.dumps(event).replace(', "', ',\ndata: "', 1) for event in text_events(*WORDS)]
FORMS = {
    "line ends of one byte": sse(*text_events(*WORDS), line="\r"),
    "line ends of two": sse(*text_events(*WORDS), line="\r\n"),
    "a byte-order mark": b"\xef\xbb\xbf" + text(*WORDS),
    "no space after the colon": text(*WORDS).replace(b"data: ", b"data:"),
    "an event over two lines": sse(*_SPLIT),
    "no blank lines": text(*WORDS).replace(b"\n\n", b"\n"),
    "comments and other fields": b": PROCESSING\n\n" + text(*WORDS).replace(b"data", b"event: x\nid: 3\ndata"),
    "no last line end": text(*WORDS).rstrip(),
    "chunks in the form of chat": sse(*chat_events(*WORDS)),
    "choices that are empty, null or missing": sse({"choices": []}, {"choices": None}, {"x": 1}, *text_events(*WORDS)),
    "an empty text, and none": sse({"choices": [{"text": ""}]}, {"choices": [{"text": None}]}, *text_events(*WORDS)),
    "usage of another form": sse(*text_events(*WORDS), {"choices": [], "usage": [1]}),
    "values that are no events": sse("1", '"x"', "null", *text_events(*WORDS)),
    "one piece": json.dumps({"choices": [{"text": WHOLE, "finish_reason": "stop"}]}).encode(),
    "one piece, indented": json.dumps({"choices": [{"text": WHOLE, "finish_reason": "stop"}]}, indent=2).encode(),
    "one piece in the form of chat": json.dumps(
        {"choices": [{"message": {"role": "assistant", "content": WHOLE}, "finish_reason": "stop"}]}
    ).encode(),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_form_of_answers(form: str) -> None:
    sampled, attempts = answer(Reply(FORMS[form]))
    assert (sampled.text, sampled.finish, sampled.error, attempts) == (WHOLE, "stop", None, 1)


@pytest.mark.parametrize(
    "logprobs",
    [
        3,
        "none",
        [1, 2],
        {"tokens": 3},
        {"content": "x"},
        {"content": [{"token": 1}]},
        {"token_logprobs": "x", "tokens": [1]},
    ],
)
def test_log_probabilities_of_another_form_are_left_out_aloud(logprobs: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="widthwise")
    sampled, _ = answer(Reply(text(*WORDS, logprobs=logprobs)), logprobs=1)
    assert (sampled.text, sampled.finish, sampled.error) == (WHOLE, "stop", None)


@pytest.mark.parametrize("line", ["\n", "\r\n", "\r"])
def test_events_are_the_same_wherever_the_bytes_are_cut(line: str) -> None:
    events = text_events(*WORDS)
    data = b"\xef\xbb\xbf: a comment" + line.encode() * 2 + sse(*events, line=line)
    for at in range(len(data) + 1):
        reader = _Events()
        payloads = [*reader.feed(data[:at]), *reader.feed(data[at:]), *reader.rest()]
        assert [json.loads(payload) for payload in payloads[:-1]] == events
        assert payloads[-1] == DONE


# -- ends ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["stop", "eos", "eos_token", "end_turn", "stop_sequence", "STOP"])
def test_ends(reason: str) -> None:
    sampled, attempts = answer(Reply(text(*WORDS, finish=reason)))
    assert (sampled.text, sampled.finish, sampled.error, attempts) == (WHOLE, "stop", None, 1)


@pytest.mark.parametrize("reason", ["length", "max_tokens", "MAX_TOKENS"])
def test_cuts(reason: str) -> None:
    sampled, attempts = answer(Reply(text(*WORDS, finish=reason)))
    assert (sampled.text, sampled.finish, sampled.error, attempts) == (WHOLE, "length", None, 1)


def test_done_without_a_reason_is_an_end() -> None:
    sampled, attempts = answer(Reply(text(*WORDS, finish=None)))
    assert (sampled.text, sampled.finish, sampled.error, attempts) == (WHOLE, "stop", None, 1)


def test_done_without_a_reason_is_a_cut_where_all_tokens_were_used() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 50}}
    sampled, attempts = answer(Reply(sse(*text_events(*WORDS, finish=None), usage)))
    assert (sampled.text, sampled.finish, attempts) == (WHOLE, "length", 1)


@pytest.mark.parametrize("reason", ["content_filter", "error", "abort", "tool_calls", "SAFETY"])
def test_what_is_no_answer_keeps_its_text_and_fails(reason: str) -> None:
    sampled, attempts = answer(Reply(text(*WORDS, finish=reason)))
    assert (sampled.text, sampled.finish, attempts) == (WHOLE, None, 1)
    assert sampled.error is not None
    assert reason in sampled.error


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"message": "the provider fell", "code": 502}},
        {"error": "the provider fell"},
        {"object": "error", "message": "the provider fell", "code": 500},
        {"error": {"message": "the provider fell", "code": 502}, "choices": [{"text": "", "finish_reason": "error"}]},
    ],
)
def test_an_error_after_some_text_fails_the_sample_with_its_message(error: Any) -> None:
    sampled, attempts = answer(Reply(sse(*text_events(*WORDS, finish=None), error)))
    assert (sampled.text, sampled.finish, attempts) == (WHOLE, None, 1)
    assert "the provider fell" in str(sampled.error)


def test_an_error_event_of_the_protocol() -> None:
    stream = (
        sse(*text_events(*WORDS, finish=None), done=False) + b'event: error\ndata: {"message": "the provider fell"}\n\n'
    )
    sampled, attempts = answer(Reply(stream))
    assert (sampled.text, sampled.finish, attempts) == (WHOLE, None, 1)
    assert "the provider fell" in str(sampled.error)


@pytest.mark.parametrize("in_one_piece", [True, False])
def test_an_error_in_place_of_an_answer_is_tried_again(in_one_piece: bool) -> None:
    error = {"error": {"message": "overloaded", "type": "overloaded_error"}}
    broken = Reply(error if in_one_piece else sse(error))
    sampled, attempts = answer(in_turn(broken, broken, Reply(text(*WORDS))))
    assert (sampled.text, sampled.finish, sampled.error, attempts) == (WHOLE, "stop", None, 3)


def test_a_mistake_in_a_200_is_not_tried_again() -> None:
    sampled, attempts = answer(Reply({"error": {"message": "no such field", "code": 400}}))
    assert attempts == 1
    assert "no such field" in str(sampled.error)


# -- breaks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_stream_cut_at_any_byte_goes_on_after_what_came(end: Any, plain: bool) -> None:
    """Each answer holds what its prompt still lacks; the cut comes a little later in each round."""
    whole = text(*WORDS)

    def script(asked: Any) -> Reply:
        had = asked.body["prompt"].partition(MARK)[2]
        left = [word for word in WORDS if word not in had]
        if not left:
            return Reply(text("", finish="stop"))
        return Reply(text(*left), cut=cut if not had else None, end=end, plain=plain)

    async def work() -> list[tuple[Sampled, int]]:
        nonlocal cut
        found = []
        async with opened(script) as (backend, server):
            for cut in range(0, len(whole), 17):  # noqa: B007
                before = len(server.attempts)
                found.append((await sample(backend), len(server.attempts) - before))
        return found

    cut = 0
    for sampled, attempts in on_the_clock(work()):
        assert attempts <= 10
        if sampled.error is None:
            assert (sampled.text, sampled.finish) == (WHOLE, "stop")
        else:  # cut before the first token every time
            assert (sampled.text, sampled.finish) == ("", None)


NEVER_ANSWERS = {
    "closes at once": Reply(b"", end="close"),
    "resets at once": Reply(b"", end="reset"),
    "says nothing": Reply(b"", plain=True),
    "says only that it is done": Reply(sse()),
    "says an empty object": Reply({}),
    "says empty choices": Reply({"choices": []}),
    "says no JSON": Reply("<html>Sign in</html>"),
    "says half an object": Reply('{"choices": [{"text": "3'),
    "ends before the first event": Reply(text(*WORDS), cut=20, plain=True),
    "ends events that are no JSON": Reply(b"data: {x\n\ndata: [DONE]\n\n"),
    "is overloaded": refusal(503),
    "has an error of its own": refusal(500),
    "has a proxy that times out": refusal(524),
    "is asked too often": refusal(429, headers={"Retry-After": "0"}),
    "reports an error in its stream": Reply(sse({"error": {"message": "no", "code": 503}})),
    "redirects to itself": Reply(b"", 307, {"Location": "/v1/completions"}),
    "refuses": refusal(422),
}


@pytest.mark.parametrize("manner", NEVER_ANSWERS)
def test_attempts_without_a_token_are_bounded(manner: str, caplog: pytest.LogCaptureFixture) -> None:
    sampled, attempts = answer(NEVER_ANSWERS[manner])
    assert 1 <= attempts <= 10
    assert (sampled.text, sampled.finish) == ("", None)
    assert sampled.error


def test_attempts_are_bounded_though_each_refuses_something_else() -> None:
    """The server refuses some parameter of every request."""
    sampled, attempts = answer(lambda asked: refusal(400, f"unknown field {sorted(set(asked.body) - {'prompt'})[-1]}"))
    assert attempts <= 10
    assert sampled.error


def test_attempts_are_bounded_though_the_room_is_never_enough() -> None:
    said = "This model's maximum context length is 40 tokens. However, you requested {} tokens (30 as prompt, {} more)."
    sampled, attempts = answer(
        lambda asked: refusal(400, said.format(30 + asked.body["max_tokens"], asked.body["max_tokens"]))
    )
    assert attempts <= 10
    assert sampled.error


def test_attempts_are_bounded_though_each_brings_brings_a_token() -> None:
    drip = Reply(text(" 1", finish=None, done=False), plain=True)

    async def work() -> tuple[Sampled, int]:
        async with opened(drip) as (backend, server):
            sampled = await sample(backend, Retry(in_all=20), max_tokens=500)
            return sampled, len(server.attempts)

    sampled, attempts = on_the_clock(work())
    assert attempts == 20
    assert sampled.error
    assert sampled.finish is None
