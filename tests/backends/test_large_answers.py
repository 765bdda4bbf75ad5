"""Servers whose answers unpack to far more than an answer can be: refused before the memory is full."""

from __future__ import annotations

import asyncio
import gzip
import json

import numpy as np
import pytest

from tests.backends.scripted_server import MARK, MODELS, Reply, serving, text_events, text_only
from widthwise.backends.http import client, stream, transport
from widthwise.backends.http.backend import HTTPBackend
from widthwise.core.backend import Request, SamplingParams
from widthwise.core.errors import BackendError

MOST = 1 << 20


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (stream, transport):
        monkeypatch.setattr(module, "MOST_BYTES", MOST)


def packed(value: object) -> Reply:
    return Reply(gzip.compress(json.dumps(value).encode()), headers={"Content-Encoding": "gzip"})


async def test_a_list_of_models_is_no_gigabyte() -> None:
    listed = packed({"data": [*MODELS, {"id": "x" * 4 * MOST}]})
    assert len(listed.data) < MOST / 50
    async with serving(lambda asked: listed, listed) as server:
        with pytest.raises(BackendError, match="sent an answer of more than 1 MiB"):
            await asyncio.to_thread(client.get, f"{server.url}/v1/models", 60.0)
        with pytest.raises(BackendError, match="sent an answer of more than 1 MiB"):
            await asyncio.to_thread(HTTPBackend, server.url)


@pytest.mark.parametrize("streamed", [True, False])
async def test_an_answer_is_no_gigabyte(*, streamed: bool) -> None:
    event = text_events("x" * 4 * MOST)[0]
    data = b"data: " + json.dumps(event).encode() + b"\n\n" if streamed else json.dumps(event).encode()
    reply = Reply(gzip.compress(data), headers={"Content-Encoding": "gzip"})
    async with serving(text_only(reply)) as server:
        backend = await asyncio.to_thread(HTTPBackend, server.url)
        prompt = np.array(backend.tokenizer.encode(MARK), np.int64)
        with pytest.raises(BackendError, match="more than 1 MiB"):
            async for _ in backend.generate(Request(prompt, SamplingParams(max_tokens=4), 0)):
                pass
        await backend.close()
