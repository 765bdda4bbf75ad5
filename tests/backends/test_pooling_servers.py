"""Servers of reward and embedding models: addresses, limits, faults and keys work as with every server."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from tests.backends.scripted_server import Asked, Reply, by_path, in_turn, limited, refusal, served
from tests.backends.servers import MODEL
from widthwise.backends.http.pooling import HTTPPooling
from widthwise.core.errors import BackendError, UsageError
from widthwise.core.rewards.reading import Reading

CARD = {"id": "house/embedder", "object": "model"}
TEXTS = [f"text {n}" for n in range(300)]
READING = Reading(np.arange(5, 25), (3, 19))


def vectors(asked: Asked) -> Reply:
    """One vector for each text; its direction shows the text's number."""
    angles = [int(text.split()[1]) / 100 for text in asked.body["input"]]
    rows = [{"index": i, "embedding": [np.cos(a), np.sin(a)]} for i, a in enumerate(angles)]
    return Reply({"data": rows, "usage": {"prompt_tokens": len(rows)}})


def outputs(asked: Asked) -> Reply:
    """One output per token: its id."""
    return Reply({"data": [{"data": [[float(token)] for token in asked.body["input"]]}]})


WORKING = by_path(embeddings=vectors, pooling=outputs)


async def opened(url: str, **options: Any) -> HTTPPooling:
    return await asyncio.to_thread(HTTPPooling, url, tokenizer=str(MODEL), **options)


async def embedded(url: str, **options: Any) -> tuple[Any, int]:
    model = await opened(url, **options)
    try:
        return await model.embed(TEXTS)
    finally:
        await model.close()


@pytest.mark.parametrize("path", ["", "/v1", "/v1/", "/v1/embeddings", "/v1#house/embedder", "/v1/pooling"])
async def test_any_address_will_do(path: str) -> None:
    with served(WORKING, [CARD]) as server:
        model = await opened(server.url + path)
        read = await model.read(READING)
        rows, tokens = await model.embed(TEXTS)
        await model.close()
    assert read.values.ravel().tolist() == [8.0, 24.0]
    assert (len(rows), tokens) == (300, 300)
    assert np.allclose(rows[:, 0], np.cos(np.arange(300) / 100), atol=1e-6)
    assert {asked.path for asked in server.asked if asked.method == "POST"} >= {"/v1/embeddings", "/pooling"}


async def test_a_limited_server_loses_nothing() -> None:
    with served(by_path(embeddings=limited(2, 1.0, vectors)), [CARD]) as server:
        rows, tokens = await embedded(server.url)
    assert (len(rows), tokens) == (300, 300)
    assert len(server.bodies("embeddings")) <= 10


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 529])
async def test_a_fault_that_passes_is_waited_out(status: int) -> None:
    with served(
        by_path(embeddings=in_turn(refusal(status, "soon"), refusal(status, "soon"), vectors)), [CARD]
    ) as server:
        rows, _ = await embedded(server.url)
    assert len(rows) == 300


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 422])
async def test_a_fault_that_stays_is_said_at_once(status: int) -> None:
    refusing = by_path(embeddings=refusal(status, "not for you"))
    with served(refusing, [CARD]) as server, pytest.raises(BackendError, match="not for you") as failed:
        await embedded(server.url)
    assert not failed.value.retryable
    assert len(server.bodies("embeddings")) <= 5  # the batches already in flight


async def test_a_server_that_is_loading_is_waited_for() -> None:
    models = Reply({"error": {"message": "Loading model", "type": "unavailable_error"}}, 503)
    with served(WORKING, models) as server:
        opening = asyncio.create_task(embedded(server.url))
        await asyncio.sleep(0.5)
        assert not opening.done()
        server.models = [CARD]
        rows, _ = await opening
    assert len(rows) == 300


async def test_a_key_goes_along_and_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIDTHWISE_API_KEY", "sk-embedding-secret")
    echoing = by_path(embeddings=lambda asked: refusal(401, f"no such key: {asked.headers['authorization']}"))
    with served(echoing, [CARD]) as server, pytest.raises(BackendError) as failed:
        await embedded(server.url)
    assert "sk-embedding-secret" not in str(failed.value)
    assert server.asked[-1].headers["authorization"] == "Bearer sk-embedding-secret"


async def test_of_several_models_one_must_be_named() -> None:
    other = {"id": "house/other", "object": "model"}
    with served(WORKING, [CARD, other]) as server:
        with pytest.raises(UsageError, match=r"house/embedder, house/other"):
            await opened(server.url)
        model = await opened(f"{server.url}#house/other")
        await model.embed(TEXTS[:1])
        assert model.identity["model"] == "house/other"
        await model.close()
    assert server.bodies("embeddings")[0]["model"] == "house/other"


async def test_a_pool_has_one_model() -> None:
    other = served(WORKING, [{"id": "house/other"}])
    with served(WORKING, [CARD]) as first, other as second, pytest.raises(UsageError, match="differ in the model"):
        await opened(f"{first.url},{second.url}")
    with served(WORKING, [CARD]) as first, served(WORKING, [CARD]) as second:
        rows, _ = await embedded(f"{first.url},{second.url}")
    assert len(rows) == 300
