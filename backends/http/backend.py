"""OpenAI-compatible completions servers: `vllm serve` on one node or many, SGLang, llama.cpp, Ollama."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from widthwise.backends.http.address import endpoint, named, shown
from widthwise.backends.http.answer import Answer
from widthwise.backends.http.dialect import Dialect
from widthwise.backends.http.exchange import exchange
from widthwise.backends.http.json_client import JSONClient
from widthwise.backends.http.labels import read_labels
from widthwise.backends.http.probing import probe
from widthwise.backends.http.profile import ServerProfile, capabilities, common, compare
from widthwise.backends.http.server_pool import Server, ServerPool
from widthwise.backends.http.stream import Batch, batches, drained
from widthwise.backends.http.text_dialect import TextDialect
from widthwise.backends.http.token_dialect import TokenDialect
from widthwise.backends.http.transport import Transport
from widthwise.backends.loop_thread import LoopThread
from widthwise.backends.model_facts import facts_in
from widthwise.backends.notes import Notes
from widthwise.backends.tokenizers.files import folder_of, holding, tokenizer_from
from widthwise.backends.tokenizers.pieces import PieceTokenizer
from widthwise.backends.tokenizers.remote import RemoteTokenizer
from widthwise.core.backend import Delta, Request, Tokenizer
from widthwise.core.errors import BackendError, PromptTooLong, UsageError, WidthwiseError
from widthwise.core.prompting.profile import ModelFacts
from widthwise.core.rewards.reading import Read, Reading

_log = logging.getLogger(__name__)

_SAMPLE = "Let $x = 12$.\n\nThen 3*x + 4 = 40."


class HTTPBackend:
    """``/v1/completions`` with streaming, on one server or a pool of servers with the same model.

    ``urls`` is one URL, several, or several joined by commas. ``model`` is needed where a server serves more
    than one. ``tokenizer`` is a local folder or file, for a server that takes token ids but does not say where
    its tokenizer is. The key for the server is read from WIDTHWISE_API_KEY or OPENAI_API_KEY.

    Limits in seconds: ``connect_timeout``; ``first_timeout`` for the first token (a busy server queues);
    ``stall_timeout`` between two pieces of a stream. The constructor asks the servers what they can do and
    raises ``BackendError`` where none answers, ``UsageError`` where they serve another model.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        model: str | None = None,
        tokenizer: str | None = None,
        *,
        connect_timeout: float = 10.0,
        first_timeout: float = 600.0,
        stall_timeout: float = 120.0,
    ) -> None:
        bases, model = named(urls, model)
        self._pool = ServerPool(bases)
        self._connect, self._first, self._stall = connect_timeout, first_timeout, stall_timeout
        self._info, self._notes = self._ask_servers(model)
        self._closed = False
        self.name = f"http:{self._info.model}"
        self.max_model_len = self._info.max_model_len
        self.facts = self._facts(tokenizer)
        self.tokenizer, self._dialect = self._language(tokenizer)
        self.capabilities = capabilities(self._info)
        self._thread = LoopThread("widthwise-http")
        self._transport = Transport(connect_timeout)
        self._client = JSONClient(self._thread, self._transport, self._pool, limit=first_timeout)

    def generate(self, request: Request) -> AsyncIterator[Delta]:
        return self._thread.stream(self._deltas(request))

    @property
    def reuses_prefixes(self) -> bool:
        """Whether a prefix is computed once: all servers that take token ids have a prefix cache."""
        return self._info.token_ids

    async def read(self, reading: Reading) -> Read:
        """Log-probabilities of ``reading.labels`` by completions of one token."""
        if not reading.labels or not self._info.token_ids:
            raise BackendError(f"{self.name} is served for completions in text: it cannot score steps")
        return await read_labels(self._client, self._info.model, reading)

    async def _deltas(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Streams from the server that the problem belongs to; one that fails at once hands on to the next."""
        self._check(request)
        servers = self._pool.candidates(request.problem)
        for number, server in enumerate(servers, 1):
            started = False
            try:
                async with aclosing(self._from(server, request)) as deltas:
                    async for delta in deltas:
                        started = True
                        yield delta
                return
            except BackendError as error:
                error.attempts = number
                if not server.may_pass_on(error) or started or number == len(servers):
                    raise
                _log.info("problem %s moves to the next server of the pool", request.problem)

    def describe(self) -> Mapping[str, Any]:
        return {
            "backend": "http",
            "servers": [shown(server.url) for server in self._pool.servers],
            "model": self._info.model,
            "engine": self._info.version,
            "max_model_len": self.max_model_len,
            "token_ids": self._info.token_ids,
            "notes": list(self._notes),
        }

    async def close(self) -> None:
        """Abort what runs and close the connections."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._shut_down)

    def _shut_down(self) -> None:
        self._thread.end_streams()
        self._thread.call(self._transport.close(), timeout=5)
        self._thread.stop()

    def _ask_servers(self, model: str | None) -> tuple[ServerProfile, Notes]:
        """What the first server that answers can do; the others must serve the same model."""
        infos: list[ServerProfile] = []
        notes = Notes()
        failure: BackendError | None = None
        for server in self._pool.servers:
            try:
                infos.append(probe(server.url, infos[0].model if infos else model, self._connect))
            except BackendError as error:
                failure = error
                server.failed(error)
                notes.warn(f"{server.url} did not answer at the start")
        if not infos:
            raise BackendError(str(failure)) from failure
        shared = common(infos)
        compare(shared, infos, notes)
        return shared, notes

    def _language(self, tokenizer: str | None) -> tuple[Tokenizer, Dialect]:
        if not self._info.token_ids:
            self._notes.warn("text only: tokens are counted in pieces of text (an approximation)")
            pieces = PieceTokenizer()
            return pieces, TextDialect(pieces, logprobs=self._info.logprobs)
        self._notes.tell("tokens of a seed may change with the batch it runs in, unless the engine is invariant")
        ours = tokenizer_from(tokenizer) if tokenizer else self._servers_tokenizer()
        return ours, TokenDialect(ours, priorities=self._info.priorities, max_model_len=self.max_model_len)

    def _facts(self, tokenizer: str | None) -> ModelFacts:
        """From the model's files: where the user has them, or where the server says that it has them from."""
        name = self._info.root or self._info.model
        if tokenizer is not None:
            return facts_in(holding(tokenizer), name)
        folder = folder_of(name) if self._info.token_ids or Path(name).is_dir() else None
        return facts_in(folder, name)

    def _servers_tokenizer(self) -> Tokenizer:
        """From the model's folder or hub id as the server reports it; else the server itself is asked."""
        remote = RemoteTokenizer(self._first_base, self._info.model, self._connect)
        folder = folder_of(self._info.root or self._info.model)
        if folder is not None:
            try:
                local = tokenizer_from(folder)
                if local.encode(_SAMPLE) == remote.encode(_SAMPLE):
                    return local
                _log.warning("the tokenizer in %s is not the server's: it is not used", folder)
            except WidthwiseError as error:  # no usable files, or a server without /tokenize
                _log.info("the tokenizer in %s could not be compared with the server's: %s", folder, error)
        try:
            remote.encode(_SAMPLE)
        except BackendError as error:
            raise UsageError(
                f"{self._pool.servers[0].url} takes token ids but does not tokenize: name a local tokenizer "
                "(tokenizer=FOLDER)"
            ) from error
        self._notes.warn(
            "texts are tokenized by the server, one request for each; dates in its chat template are the server's"
        )
        return remote

    @property
    def _first_base(self) -> str:
        first = next((s for s in self._pool.servers if s.healthy), self._pool.servers[0])
        return first.url

    def _check(self, request: Request) -> None:
        length = len(request.prompt)
        if length == 0:
            raise BackendError("the prompt is empty")
        if self._info.token_ids and self.max_model_len is not None and length >= self.max_model_len:
            raise PromptTooLong(
                f"a prompt of {length} tokens leaves no room in the model's context of {self.max_model_len}"
            )

    async def _from(self, server: Server, request: Request) -> AsyncGenerator[Delta, None]:
        """One server's deltas; the last comes when the server has also said what the prompt cost."""
        answer = Answer(self._dialect.reader(request), request, counts_alike=self._info.token_ids)
        try:
            async with aclosing(self._batches(server, request)) as arriving:
                async for batch in arriving:
                    for delta in answer.take(batch):
                        yield delta
                    if answer.stopped_here:
                        break
            if answer.last is None:
                raise BackendError(f"{shown(server.url)} ended the stream before the end of the answer", retryable=True)
        except BackendError as error:
            if answer.last is None:
                if answer.started:  # what the prompt cost is owed whether or not the answer came to its end
                    yield Delta(np.empty(0, np.int64), usage=answer.usage)
                raise answer.failure(error) from error
        server.succeeded()
        yield replace(answer.last, usage=answer.usage)

    async def _batches(self, server: Server, request: Request) -> AsyncGenerator[Batch, None]:
        """The server's answer as it comes in."""
        url, body = endpoint(server.url, self._dialect.path), {"model": self._info.model, **self._dialect.body(request)}
        async with (
            exchange(server, self._transport, url, body, self._first) as response,
            aclosing(batches(response, first=self._first, stall=self._stall)) as arriving,  # type: ignore[type-var]
        ):
            async for batch in arriving:
                yield batch
            await drained(response)
