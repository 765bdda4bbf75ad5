"""Servers with a pooling model: reward models' heads (vLLM's ``/pooling``) and embeddings (``/v1/embeddings``)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from widthwise.backends.embedding import unit
from widthwise.backends.http.address import named, shown
from widthwise.backends.http.connected import Connected
from widthwise.backends.http.enquiry import Patience
from widthwise.backends.http.json_client import JSONClient
from widthwise.backends.http.members import Members
from widthwise.backends.http.probing import introduce
from widthwise.backends.http.server_pool import ServerPool
from widthwise.backends.http.transport import with_key
from widthwise.backends.notes import Notes
from widthwise.backends.tokenizers.files import folder_of, tokenizer_from
from widthwise.backends.tokenizers.remote import RemoteTokenizer
from widthwise.core.arrays import FloatArray
from widthwise.core.backend import Tokenizer, Usage
from widthwise.core.errors import BackendError, WidthwiseError
from widthwise.core.retry import Retry
from widthwise.core.rewards.reading import Read, Reading

_log = logging.getLogger(__name__)

_BATCH = 64
"""Texts in one request for embeddings."""


class HTTPPooling(Connected):
    """One server or a pool of servers with the same pooling model; the constructor checks that it is there.

    ``urls``, ``model`` and ``tokenizer`` are as for ``HTTPBackend``; a tokenizer is only needed for reading.
    ``timeout`` is for one answer, in seconds; ``headers`` and ``startup_timeout`` are as there too. Raises
    ``BackendError`` if no server answers.
    """

    # `/pooling` computes every token of every request anew: its outputs cannot come from a cache.
    reuses_prefixes = False

    def __init__(
        self,
        urls: str | Sequence[str],
        model: str | None = None,
        tokenizer: str | None = None,
        *,
        api_key: str | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        connect_timeout: float = 10.0,
        startup_timeout: float | None = None,
        timeout: float = 900.0,
    ) -> None:
        bases, model = named(urls, model)
        headers = with_key(headers, api_key)
        super().__init__("widthwise-pooling", connect_timeout, headers)
        pool = ServerPool(bases)
        self._urls = [server.url for server in pool.servers]
        self._named_tokenizer, self._headers = tokenizer, headers
        self._connect = connect_timeout
        self._tokenizer: Tokenizer | None = None
        self._retry = Retry()
        self._notes = Notes()
        try:
            patience = Patience(timeout, startup_timeout)
            self._members = Members(self._transport, patience, partial(introduce, model), self._notes)
            self.profile = self._thread.call(self._members.described(pool.servers))
        except BaseException:
            self._shut_down()
            raise
        self._model, self._root = self.profile.model, self.profile.root
        self.name = f"http:{self._model}"
        self._client = JSONClient(self._thread, self._transport, pool, limit=timeout, admit=self._members.admit)

    @property
    def tokenizer(self) -> Tokenizer:
        """From the named folder, from the model's files, or the server's own."""
        if self._tokenizer is None:
            self._tokenizer = self._found_tokenizer()
        return self._tokenizer

    async def read(self, reading: Reading) -> Read:
        """The head's outputs at each position, before its softmax or sigmoid."""
        body = {"model": self._model, "input": reading.ids.tolist(), "task": "token_classify", "use_activation": False}
        answer = await self._client.post("/../pooling", body, reading.problem)
        rows = _matrix(answer, self.name)
        first = len(reading.ids) - len(rows)
        if reading.positions[0] < first or not rows.size:
            raise BackendError(
                f"{self.name} gave {len(rows)} outputs for {len(reading.ids)} tokens: serve it with "
                '--pooler-config \'{"task": "token_classify", "tok_pooling_type": "ALL"}\' and '
                "--no-enable-prefix-caching"
            )
        return Read(rows[np.array(reading.positions) - first], Usage(0, len(reading.ids)))

    async def embed(self, texts: Sequence[str]) -> tuple[FloatArray, int]:
        """Unit vectors ``float32 [texts, dimensions]``, and how many tokens the server counted."""
        parts = [texts[i : i + _BATCH] for i in range(0, len(texts), _BATCH)]
        done = await asyncio.gather(*map(self._embedded, parts))
        return unit(np.concatenate([rows for rows, _ in done])), sum(tokens for _, tokens in done)

    async def _embedded(self, texts: Sequence[str]) -> tuple[FloatArray, int]:
        body = {"model": self._model, "input": list(texts), "encoding_format": "float"}
        answer = await self._retry.persist(partial(self._client.post, "/embeddings", body), "a batch of embeddings")
        try:
            entries = sorted(answer["data"], key=lambda entry: entry["index"])
            rows = np.array([entry["embedding"] for entry in entries], np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise BackendError(f"{self.name} did not answer a request for embeddings with embeddings") from error
        if rows.ndim != 2 or len(rows) != len(texts) or not np.isfinite(rows).all():
            raise BackendError(f"{self.name} gave no vector for each of {len(texts)} texts")
        return rows, int((answer.get("usage") or {}).get("prompt_tokens") or 0)

    def describe(self) -> Mapping[str, Any]:
        servers = [shown(url) for url in self._urls]
        return {"backend": "http", "servers": servers, **self._members.known.record, "notes": list(self._notes)}

    @property
    def identity(self) -> Mapping[str, Any]:
        """What decides the numbers on the side of the servers: the model."""
        return {"model": self._model, "root": self._root}

    def _found_tokenizer(self) -> Tokenizer:
        if self._named_tokenizer is not None:
            return tokenizer_from(Path(self._named_tokenizer))
        folder = folder_of(str(self._root or self._model))
        if folder is not None:
            try:
                return tokenizer_from(folder)
            except WidthwiseError as error:
                _log.info("no usable tokenizer in %s: %s", folder, error)
        _log.warning("%s: the server tokenizes the texts, with one request each", self.name)
        return RemoteTokenizer(self._urls[0], self._model, self._connect, self._headers)


def _matrix(answer: Mapping[str, Any], name: str) -> FloatArray:
    try:
        rows = np.array(answer["data"][0]["data"], np.float32)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BackendError(f"{name} did not answer a request for step scores with scores") from error
    return rows.reshape(len(rows), -1) if rows.size else np.empty((0, 1), np.float32)
