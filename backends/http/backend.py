"""OpenAI-compatible servers, addressed in token ids, text or messages: vLLM, SGLang, llama.cpp, hosted models."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from widthwise.backends.http.address import endpoint, named, shown
from widthwise.backends.http.answer import Answer
from widthwise.backends.http.connected import Connected
from widthwise.backends.http.dialect import Dialect
from widthwise.backends.http.enquiry import Patience
from widthwise.backends.http.exchange import exchange
from widthwise.backends.http.json_client import JSONClient
from widthwise.backends.http.labels import read_labels
from widthwise.backends.http.language import dialect_for, facts_about, folder_named, tokenizer_for
from widthwise.backends.http.members import Members
from widthwise.backends.http.probing import Wishes, probe
from widthwise.backends.http.profile import capabilities, dialect_named, prefix_named
from widthwise.backends.http.room import room_told
from widthwise.backends.http.server_pool import Server, ServerPool
from widthwise.backends.http.statuses import StatusError
from widthwise.backends.http.stream import Batch, batches, drained
from widthwise.backends.http.transport import with_key
from widthwise.backends.notes import Notes
from widthwise.backends.tokenizers.remote import RemoteTokenizer
from widthwise.core.backend import Delta, Request, SamplingParams
from widthwise.core.errors import BackendError, PromptTooLong
from widthwise.core.rewards.reading import Read, Reading

_log = logging.getLogger(__name__)

_NO_FOLDERS: Mapping[str, Path] = MappingProxyType({})
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


_MOST_CHANGES = 9
"""How often a request is sent at most while its server refuses one parameter after another."""


class HTTPBackend(Connected):
    """One server, or a pool of servers with the same model, described once at the start (``ServerProfile``).

    ``urls`` is one URL, several, or several joined by commas. ``model`` is needed if a server serves more than one.
    ``tokenizer`` is a local folder or file with the model's tokenizer and chat template, for a server that does not
    report its location; ``folders`` are those of models that are known by name. ``dialect`` ("token_ids", "text",
    "chat") and ``prefix`` (how to ask a chat server to continue an assistant's turn) are detected if not given. Without
    ``logprobs`` none are requested, which saves the server work. ``headers`` are sent with every request. The key is
    ``api_key``, or read from WIDTHWISE_API_KEY or OPENAI_API_KEY.

    Limits in seconds: ``connect_timeout``; ``first_timeout`` for the first token (a busy server queues);
    ``stall_timeout`` between two pieces of a stream; ``startup_timeout`` for servers that are loading or not there yet
    (None: ten minutes for one that says it is loading, two seconds for one that is not there). The constructor asks the
    servers what they can do. It raises ``BackendError`` if none answers, and ``UsageError`` if they serve another
    model, or different ones.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        model: str | None = None,
        tokenizer: str | None = None,
        *,
        dialect: str | None = None,
        prefix: str | None = None,
        logprobs: bool = True,
        api_key: str | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
        folders: Mapping[str, Path] = _NO_FOLDERS,
        connect_timeout: float = 10.0,
        first_timeout: float = 900.0,
        stall_timeout: float = 120.0,
        startup_timeout: float | None = None,
    ) -> None:
        chosen, way = dialect and dialect_named(dialect), prefix and prefix_named(prefix)
        bases, model = named(urls, model)
        headers = with_key(headers, api_key)
        super().__init__("widthwise-http", connect_timeout, headers)
        self._chosen = chosen is not None
        wishes = Wishes(model, chosen or None, way or None, templated=tokenizer is not None)
        self._pool = ServerPool(bases)
        self._first, self._stall, self._logprobs = first_timeout, stall_timeout, logprobs
        self._notes = Notes()
        self._dialects: dict[str, Dialect] = {}
        try:
            patience = Patience(first_timeout, startup_timeout)
            self._members = Members(self._transport, patience, partial(probe, wishes), self._notes)
            self.profile = self._thread.call(self._members.described(self._pool.servers))
            base = self._members.first.url
            remote = RemoteTokenizer(base, self.profile.model, connect_timeout, headers)
            self._speak(remote, tokenizer, folders)
        except BaseException:
            self._shut_down()
            raise
        self._client = JSONClient(
            self._thread, self._transport, self._pool, limit=first_timeout, admit=self._members.admit
        )

    def _speak(self, remote: RemoteTokenizer, tokenizer: str | None, folders: Mapping[str, Path]) -> None:
        profile = self.profile
        folder = folder_named(tokenizer, profile, folders)
        self.name = f"http:{profile.model}"
        self.max_model_len = profile.max_model_len
        self.facts = facts_about(folder, profile)
        self.tokenizer = tokenizer_for(profile, remote, tokenizer, folder, self._notes)
        self.capabilities = capabilities(profile if self._logprobs else replace(profile, logprobs=False))

    def generate(self, request: Request) -> AsyncIterator[Delta]:
        if not self._logprobs:
            request = replace(request, params=replace(request.params, logprobs=None))
        return self._thread.stream(self._deltas(request))

    @property
    def reuses_prefixes(self) -> bool:
        """Whether a prefix is computed once: all servers that take token ids have a prefix cache."""
        return self.profile.token_ids

    @property
    def identity(self) -> Mapping[str, Any]:
        """What decides a run's results on the side of the servers: the model, and how it is addressed."""
        return self.profile.identity

    @property
    def untemplated(self) -> bool:
        """Whether texts are sent without the model's chat template although this was not requested."""
        return self.profile.dialect == "text" and not self._chosen and self.facts.template is None

    @property
    def no_continuation(self) -> str:
        """Why a chat server cannot continue texts, and what can (see ``Conditions``)."""
        return self._members.no_continuation

    async def read(self, reading: Reading) -> Read:
        """Log-probabilities of ``reading.labels``, from completions of one token."""
        if not reading.labels or not self.profile.token_ids:
            raise BackendError(f"{self.name} takes no token ids: it cannot score steps")
        return await read_labels(self._client, self.profile.model, reading)

    async def _deltas(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Streams from the server that the problem belongs to; if it fails at once, the next one takes over."""
        self._check(request)
        servers = self._pool.candidates(request.problem)
        for number, server in enumerate(servers, 1):
            started = False
            try:
                await self._members.admit(server)
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
            "line": self._members.line,
            **self._members.known.record,
            "notes": list(self._notes),
        }

    def _check(self, request: Request) -> None:
        self._tell_of_penalties(request.params)
        length = len(request.prompt)
        if length == 0:
            raise BackendError("the prompt is empty")
        if self.profile.token_ids and self.max_model_len is not None and length >= self.max_model_len:
            raise PromptTooLong(
                f"a prompt of {length} tokens leaves no room in the model's context of {self.max_model_len}"
            )

    def _tell_of_penalties(self, params: SamplingParams) -> None:
        if self.profile.kind == "llama.cpp" and (params.presence_penalty or params.frequency_penalty):
            note = "llama.cpp counts the prompt's tokens too for presence and frequency penalties, unlike other engines"
            if note not in self._notes:
                self._notes.warn(note)

    def _dialect(self, server: Server) -> Dialect:
        if server.url not in self._dialects:
            self._dialects[server.url] = dialect_for(self._members.profile(server), self.tokenizer)
        return self._dialects[server.url]

    async def _from(self, server: Server, request: Request) -> AsyncGenerator[Delta, None]:
        """One server's deltas; the last one comes when the server has also reported what the prompt cost."""
        dialect = self._dialect(server)
        answer = Answer(dialect.reader(request), request, counts_alike=self.profile.token_ids)
        try:
            async with aclosing(self._batches(server, dialect, request)) as arriving:
                async for batch in arriving:
                    for delta in answer.take(batch):
                        yield delta
                    if answer.stopped_here:
                        break
            if answer.last is None:
                raise BackendError(f"{shown(server.url)} ended the stream before the end of the answer", retryable=True)
        except BackendError as error:
            if answer.last is None:
                if answer.started:  # the prompt's cost is owed whether or not the answer was completed
                    yield Delta(np.empty(0, np.int64), usage=answer.usage)
                raise answer.failure(error) from error
        server.succeeded()
        yield answer.end

    async def _batches(self, server: Server, dialect: Dialect, request: Request) -> AsyncGenerator[Batch, None]:
        """The server's answer as it arrives; parameters that it refuses and that are not essential are left out."""
        url, body = endpoint(server.url, dialect.path), dialect.body(request)
        refusals = self._members.refusals(server)
        for left in reversed(range(_MOST_CHANGES)):
            sent = refusals.heeded({"model": self.profile.model, **body})
            try:
                async with (
                    exchange(server, self._transport, url, sent, self._first) as response,
                    aclosing(batches(response, first=self._first, stall=self._stall)) as arriving,  # type: ignore[type-var]
                ):
                    async for batch in arriving:
                        yield batch
                    await drained(response)
                return
            except StatusError as error:
                if not refusals.learn(sent, error, _needed(request)) or not left:
                    raise
            except PromptTooLong as error:
                room = room_told(str(error), body.get("max_tokens") or 0)
                if room is None or not left:
                    raise
                body["max_tokens"] = room


def _needed(request: Request) -> frozenset[str]:
    """Parameters that the caller depends on."""
    return frozenset({"logprobs", "top_logprobs"} if request.params.logprobs else ())
