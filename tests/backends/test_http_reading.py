"""Reading on servers: vLLM's own, and servers that answer nonsense."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from typer.testing import CliRunner

from tests.backends.conformance import Subject
from tests.backends.conftest import KEY
from tests.backends.heads import expected_outputs, write_qwen_prm
from tests.backends.servers import MODEL, vllm_server
from widthwise.backends.embedded.backend import EmbeddedBackend
from widthwise.backends.http.json_client import JSONClient
from widthwise.backends.http.labels import read_labels
from widthwise.backends.http.pooling import HTTPPooling
from widthwise.backends.http.server_pool import ServerPool
from widthwise.backends.http.transport import Transport
from widthwise.backends.loop_thread import LoopThread
from widthwise.cli.app import app
from widthwise.core.errors import BackendError, UsageError
from widthwise.core.problem import Problem
from widthwise.core.retry import Retry
from widthwise.core.rewards.language_reward import LanguageRewardModel
from widthwise.core.rewards.reading import Reading
from widthwise.core.rewards.reward import Solution
from widthwise.core.rewards.reward_format import RewardFormat

IDS = np.random.default_rng(2).integers(5, 440, 200)
PROBLEM = Problem("p", "Compute 17 + 5.")
CLASSES = RewardFormat("classes", tag="\n\n", reads="classes")


# -- vLLM's server ---------------------------------------------------------------------------------------------


async def test_labels_from_a_completions_server(http_subject: Subject) -> None:
    reading = Reading(IDS, (60, 199), (359, 361))
    read = await http_subject.backend.read(reading)  # type: ignore[attr-defined]
    embedded = EmbeddedBackend(MODEL)
    wanted = await embedded.read(reading)
    await embedded.close()
    assert np.abs(np.diff(read.values, axis=1) - np.diff(wanted.values, axis=1)).max() < 0.3
    assert read.usage.prompt_cached > 0


@pytest.fixture(scope="module")
def prm_url(vllm: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prm")
    pooler = json.dumps({"task": "token_classify", "tok_pooling_type": "ALL"})
    options = ["--runner", "pooling", "--pooler-config", pooler, "--no-enable-prefix-caching", "--dtype", "float32"]
    with vllm_server(folder / "server.log", write_qwen_prm(folder / "prm"), *options) as url:
        yield url


@pytest.fixture(scope="module")
def embedding_url(vllm: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A vLLM server for embeddings; it requires ``KEY``."""
    options = ["--runner", "pooling", "--convert", "embed", "--api-key", KEY]
    with vllm_server(tmp_path_factory.mktemp("embed") / "server.log", MODEL, *options) as url:
        yield url


async def test_the_head_of_a_served_reward_model(prm_url: str) -> None:
    reader = await asyncio.to_thread(HTTPPooling, prm_url)
    wanted = await asyncio.to_thread(expected_outputs, IDS)
    read = await reader.read(Reading(IDS, (7, 60, 199)))
    assert np.abs(read.values - wanted[[7, 60, 199]]).max() < 0.01
    model = LanguageRewardModel(reader, CLASSES)
    steps = ("17 + 5 = 22", "\\boxed{22}")
    scores = await model.score(PROBLEM, [Solution(steps), Solution(steps[:1]), Solution(("1 + " * 2000,))])
    assert scores[0].steps is not None
    assert scores[1].steps is not None
    assert scores[0].steps[0] == pytest.approx(scores[1].steps[0], abs=1e-4)
    assert scores[2].steps is None
    await model.close()


async def test_served_embeddings(embedding_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIDTHWISE_API_KEY", KEY)
    model = await asyncio.to_thread(HTTPPooling, embedding_url)
    texts = [f"{n} + 5 = {n + 5}" for n in range(150)]
    rows, tokens = await model.embed(texts)
    assert rows.shape == (150, 128)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-4)
    assert tokens > 150 * 5
    alone, _ = await model.embed([texts[100]])
    assert float(alone[0] @ rows[100]) == pytest.approx(1, abs=1e-3)
    await model.close()


def test_a_search_compares_steps_by_served_embeddings(
    embedding_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = ["--reward-model", "scorer", "--embedding-model", embedding_url]
    words = ["eval", "countdown", "--limit", "2", "--strategy", "ets(n=4)", *models, "--run", str(tmp_path / "a.db")]
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("WIDTHWISE_API_KEY", raising=False)
    refused = CliRunner().invoke(app, [*words, "--json"])
    assert refused.exit_code != 0
    assert "WIDTHWISE_API_KEY" in refused.output
    monkeypatch.setenv("WIDTHWISE_API_KEY", KEY)
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["errors"] == 0
    assert found["tokens"]["embedding"] > 0
    assert KEY.encode() not in (tmp_path / "a.db").read_bytes()


# -- servers that answer nonsense ------------------------------------------------------------------------------


@asynccontextmanager
async def answering(answer: Any, status: int = 200) -> AsyncIterator[str]:
    """A server with one model, which answers every request with ``answer`` (a value, or a function of the body)."""

    async def serve(request: web.Request) -> web.Response:
        said = answer(await request.json()) if callable(answer) else answer
        if isinstance(said, str):
            return web.Response(text=said, status=status)
        return web.json_response(said, status=status)

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "m", "root": str(MODEL)}]})

    app = web.Application()
    app.router.add_get("/v1/models", models)
    app.router.add_post("/{path:.*}", serve)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ({"data": [{"data": [[0.0, 1.0]]}]}, "1 outputs for"),
        ({"data": []}, "did not answer a request for step scores with scores"),
        ({"data": [{"data": []}]}, "0 outputs for"),
        ({"data": [{"data": [["a"]]}]}, "did not answer a request for step scores with scores"),
        ({"error": "?"}, "reported an error: ?"),
        ([1, 2], "not a JSON object"),
        ("<html>", "not JSON"),
    ],
)
async def test_a_reward_server_that_answers_nonsense(answer: Any, complaint: str) -> None:
    async with answering(answer) as url:
        reader = await asyncio.to_thread(HTTPPooling, url)
        model = LanguageRewardModel(reader, CLASSES, retry=Retry(attempts=2, first_delay=0.01))
        (scores,) = await model.score(PROBLEM, [Solution(("a", "b"))])
        assert scores.steps is None
        assert complaint in str(scores.error)
        await model.close()


async def test_a_reward_server_with_nan_gives_nan_for_the_session_to_refuse() -> None:
    async with answering(
        lambda body: json.dumps({"data": [{"data": [[float("nan")] * 2 for _ in body["input"]]}]})
    ) as url:
        reader = await asyncio.to_thread(HTTPPooling, url)
        (scores,) = await LanguageRewardModel(reader, CLASSES).score(PROBLEM, [Solution(("a", "b"))])
        assert "NaN" in str(scores.checked(2).error)
        await reader.close()


async def test_a_busy_server_is_asked_again() -> None:
    calls: list[Any] = []

    def sometimes(body: Any) -> Any:
        calls.append(body)
        if len(calls) < 3:
            raise web.HTTPServiceUnavailable
        return {"data": [{"data": [[0.0, 1.0] for _ in body["input"]]}]}

    async with answering(sometimes) as url:
        reader = await asyncio.to_thread(HTTPPooling, url)
        model = LanguageRewardModel(reader, CLASSES, retry=Retry(first_delay=0.01))
        (scores,) = await model.score(PROBLEM, [Solution(("a", "b"))])
        assert scores.steps == pytest.approx([1 / (1 + np.exp(-1))] * 2)
        assert len(calls) == 3
        await model.close()


async def test_a_silent_server_runs_into_the_time_limit() -> None:
    async def wait(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "m", "root": str(MODEL)}]})

    app = web.Application()
    app.router.add_get("/v1/models", models)
    app.router.add_post("/pooling", wait)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        reader = await asyncio.to_thread(HTTPPooling, url, timeout=0.2)
        with pytest.raises(BackendError, match=r"sent nothing for 0\.2 seconds"):
            await reader.read(Reading(IDS, (5,)))
        await reader.close()


async def test_no_server_and_another_model() -> None:
    with pytest.raises(BackendError, match="no server answers"):
        await asyncio.to_thread(HTTPPooling, "http://127.0.0.1:9", connect_timeout=0.5)
    async with answering({}) as url:
        with pytest.raises(UsageError, match="does not serve 'other'; it serves m"):
            await asyncio.to_thread(HTTPPooling, url, "other")


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ({"data": [{"index": 0, "embedding": [1.0, 2.0]}]}, "no vector for each of 2 texts"),
        (
            {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}]},
            "did not answer a request for embeddings with embeddings",
        ),
        ({"nothing": 1}, "did not answer a request for embeddings with embeddings"),
    ],
)
async def test_an_embedding_server_that_answers_nonsense(answer: Any, complaint: str) -> None:
    async with answering(answer) as url:
        model = await asyncio.to_thread(HTTPPooling, url)
        with pytest.raises(BackendError, match=complaint):
            await model.embed(["a", "b"])
        await model.close()


def completion(token: str, logprob: float) -> Any:
    return {"choices": [{"text": "+", "logprobs": {"tokens": [token], "token_logprobs": [logprob]}}]}


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (lambda body: completion(f"token_id:{body['allowed_token_ids'][0]}", 0.0), "--logprobs-mode raw_logprobs"),
        (completion("token_id:9", -1.0), "tokens other than the allowed ones"),
        ({"choices": [{"text": "+"}]}, "has no log-probabilities"),
    ],
)
async def test_a_completions_server_that_cannot_score(answer: Any, complaint: str) -> None:
    thread = LoopThread("test")
    async with answering(answer) as url:
        transport = Transport(5.0)
        client = JSONClient(thread, transport, ServerPool([f"{url}/v1"]), limit=5.0)
        with pytest.raises(BackendError, match=complaint):
            await read_labels(client, "m", Reading(IDS, (5,), (359, 361)))
        await asyncio.to_thread(thread.call, transport.close())
    await asyncio.to_thread(thread.stop)


# -- connections -----------------------------------------------------------------------------------------------


@asynccontextmanager
async def forgetful(answers: int) -> AsyncIterator[tuple[str, list[int]]]:
    """A server that keeps each connection open, but drops it without notice after so many ``answers``."""
    asked: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(answers):
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
            asked.append(1)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()
        await reader.read(1)  # the next request has begun, or the client has left
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", asked


async def test_a_connection_that_the_server_dropped_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="widthwise")
    transport = Transport(5.0)
    async with forgetful(answers=1) as (url, asked):
        for _ in range(3):
            async with await transport.begin(f"{url}/completions", {}) as response:
                assert await response.json() == {}
        await transport.close()
    assert len(asked) == 3
    assert caplog.text.count("closed the connection before it answered") == 2


async def test_a_server_that_never_answers_is_one() -> None:
    transport = Transport(5.0)
    async with forgetful(answers=0) as (url, _):
        with pytest.raises(BackendError, match="broke off the connection"):
            await transport.begin(f"{url}/completions", {})
        await transport.close()
