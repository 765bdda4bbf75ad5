"""What is specific to the HTTP backend: pools, failover, refusals, what goes into the manifest."""

from __future__ import annotations

import asyncio
from collections import Counter

import numpy as np
import pytest

from tests.backends.conformance import Subject
from tests.backends.pools import problems_of
from tests.backends.servers import own_server
from widthwise.backends.http import server_pool
from widthwise.backends.http.backend import HTTPBackend
from widthwise.backends.http.profile import ServerProfile
from widthwise.backends.http.server_pool import ServerPool
from widthwise.backends.http.statuses import NoAccess, StatusError, status_error
from widthwise.backends.http.text_dialect import TextDialect
from widthwise.backends.tokenizers.pieces import PieceTokenizer
from widthwise.backends.tokenizers.remote import RemoteTokenizer
from widthwise.core.backend import Request, SamplingParams
from widthwise.core.errors import BackendError, PromptTooLong, UsageError

URLS = [f"http://node{i}:8000/v1" for i in range(4)]


def first_choices(pool: ServerPool, problems: int = 400) -> list[str]:
    return [pool.candidates(f"problem-{i}")[0].url for i in range(problems)]


def test_problems_spread_over_the_servers_and_stay() -> None:
    pool = ServerPool(URLS)
    chosen = first_choices(pool)
    assert chosen == first_choices(ServerPool(URLS))
    assert min(Counter(chosen).values()) > 60


def test_a_lost_server_moves_only_its_own_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_pool, "monotonic", lambda: 100.0)
    pool = ServerPool(URLS)
    before = first_choices(pool)
    pool.servers[2].failed("down")
    after = first_choices(pool)
    assert {a for a, b in zip(after, before, strict=True) if b == URLS[2]} == set(URLS) - {URLS[2]}
    assert all(a == b for a, b in zip(after, before, strict=True) if b != URLS[2])


def test_a_failing_server_is_put_aside_for_a_growing_while_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(server_pool, "monotonic", lambda: now)
    (server,) = ServerPool(["http://a/v1"]).servers
    pauses = []
    for _ in range(3):
        server.failed("down")
        server.failed("down")  # at the same moment: counts once
        pauses.append(server.aside_until - now)
        assert not server.healthy
        now = server.aside_until
        assert server.healthy
    assert pauses == [0.5, 1.0, 2.0]
    server.succeeded()
    assert server.healthy
    assert server.failures == 0


def test_an_overloaded_server_hands_on() -> None:
    pool = ServerPool(URLS)
    first, second = pool.candidates("p")[:2]
    first.in_flight = 100
    assert pool.candidates("p")[0] is second


@pytest.mark.parametrize(
    ("status", "body", "kind", "retryable"),
    [
        (400, '{"error": {"message": "This model\'s maximum context length is 10 tokens"}}', PromptTooLong, False),
        (400, '{"error": "nonsense"}', StatusError, False),
        (401, '{"detail": "who are you"}', NoAccess, False),
        (404, "", StatusError, False),
        (429, "slow down", StatusError, True),
        (500, "<html>", StatusError, True),
        (503, "{}", StatusError, True),
    ],
)
def test_statuses(status: int, body: str, kind: type[BackendError], retryable: bool) -> None:
    error = status_error("http://a/v1/completions", status, body)
    assert type(error) is kind
    assert error.retryable is retryable
    assert "http://a" in str(error)


def test_server_that_is_down_is_named() -> None:
    with pytest.raises(BackendError, match=r"no server answers at http://127\.0\.0\.1:9/v1"):
        HTTPBackend("http://127.0.0.1:9")


def test_model_that_is_not_served_is_answered_with_those_that_are(text_url: str) -> None:
    with pytest.raises(UsageError, match="it serves words"):
        HTTPBackend(text_url, model="other")


def test_no_url() -> None:
    with pytest.raises(UsageError, match="needs a URL"):
        HTTPBackend(" , ")


async def test_text_prompt_that_does_not_fit(http_text_subject: Subject) -> None:
    with pytest.raises(PromptTooLong):
        await http_text_subject.sample(http_text_subject.backend.tokenizer.encode("word " * 500))


def test_text_only_is_said(http_text_subject: Subject) -> None:
    described = http_text_subject.backend.describe()
    assert described["token_ids"] is False
    assert any("text only" in note for note in described["notes"])


def test_a_text_servers_own_tokens_are_taken_with_their_logprobs() -> None:
    tokenizer = PieceTokenizer()
    request = Request(np.array(tokenizer.encode("Go.")), SamplingParams(max_tokens=3, stop=("C",), logprobs=1), 1)
    reader = TextDialect(tokenizer, ServerProfile("m", logprobs=True)).reader(request)
    logprobs = {"tokens": ["ab", " c"], "token_logprobs": [-0.5, -1.0], "top_logprobs": [{"ab": -0.5}, {" d": -0.2}]}
    first = reader.read({"text": "ab c", "logprobs": logprobs})
    assert tokenizer.pieces(first.token_ids) == ["ab", " c"]
    assert first.finish is None
    assert first.stats is not None
    assert first.stats.logprobs.tolist() == [-0.5, -1.0]
    assert first.stats.top_ids is not None
    assert tokenizer.pieces(first.stats.top_ids[:, 0]) == ["ab", " d"]
    last = reader.read({"text": "C more"})
    assert (tokenizer.decode(last.token_ids), last.finish, last.stop_reason) == ("C", "stop", "C")


def test_text_past_the_limit_is_not_delivered() -> None:
    tokenizer = PieceTokenizer()
    request = Request(np.array(tokenizer.encode("Go.")), SamplingParams(max_tokens=3, logprobs=None), 1)
    delta = TextDialect(tokenizer, ServerProfile("m")).reader(request).read({"text": "one two three four five"})
    assert (tokenizer.decode(delta.token_ids), delta.finish) == ("one two three", "length")


async def test_pool_goes_on_without_a_server_that_dies() -> None:
    with own_server("text_server.py") as staying:
        with own_server("text_server.py") as dying:
            backend = HTTPBackend(f"{dying},{staying}")
            prompt = np.array(backend.tokenizer.encode("Go on."))
            named = [name for url in (dying, staying) for name in problems_of(url, [dying, staying], 8)]
            requests = [Request(prompt, SamplingParams(max_tokens=20), i, problem=name) for i, name in enumerate(named)]
            await asyncio.gather(*(Subject(backend, int).run(request) for request in requests))
        several = await asyncio.gather(*(Subject(backend, int).run(request) for request in requests))
        assert all(len(sampled.ids) == 20 for sampled in several)
        await backend.close()


async def test_close_ends_requests_in_flight(text_url: str) -> None:
    backend = HTTPBackend(text_url)
    subject = Subject(backend, int)
    tasks = [asyncio.create_task(subject.sample(max_tokens=None, seed=i)) for i in range(8)]
    await asyncio.sleep(0.05)
    await asyncio.wait_for(backend.close(), 300)
    ends = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 300)
    assert all(isinstance(end, BackendError) for end in ends)
    with pytest.raises(BackendError, match="closed"):
        await subject.sample()


def test_remote_tokenizer_agrees_with_the_local_one(vllm_url: str, http_subject: Subject) -> None:
    local = http_subject.backend.tokenizer
    remote = RemoteTokenizer(vllm_url, http_subject.backend.describe()["model"], 60)
    text = "Step 1: 3 * 14 = 42\n\nso"
    assert remote.encode(text) == local.encode(text)
    assert remote.decode(local.encode(text)) == text
    for messages in (
        [{"role": "user", "content": "1 + 1"}],
        [{"role": "user", "content": "1 + 1"}, {"role": "assistant", "content": "= 2"}],
    ):
        assert remote.chat(messages) == local.chat(messages)
