"""Addressing a server in text: llama.cpp, TGI, older servers."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from widthwise.backends.engine_seeds import short_seed
from widthwise.backends.http.dialect import AnswerReader, other_sampling, sampling, streaming
from widthwise.backends.http.finish import finish
from widthwise.backends.http.logprobs import Listed, listed
from widthwise.backends.http.profile import ServerProfile
from widthwise.backends.tokenizers.pieces import PieceTokenizer
from widthwise.core.backend import Delta, Request, SamplingParams, TokenStats
from widthwise.core.trace.stopping import StopMatcher

_log = logging.getLogger(__name__)

OPEN_ENDED = frozenset({"llama.cpp", "Ollama"})
"""Programs that go on to the answer's own end if no limit is given; others have a limit of their own, often 16."""
_MARGIN = 1.25
"""How many of the model's tokens a piece of text may be: a server refuses more than its context leaves."""


class TextDialect:
    """Text both ways, in the model's own chat format if the tokenizer has its template.

    ``max_tokens`` is counted in the tokenizer's pieces. Stop strings are detected here, because such servers cut them
    off the text without saying which one it was.
    """

    path = "/completions"

    def __init__(self, tokenizer: PieceTokenizer, profile: ServerProfile) -> None:
        self._tokenizer = tokenizer
        self._profile = profile

    def body(self, request: Request) -> dict[str, Any]:
        params = request.params
        body = {
            "prompt": self._tokenizer.decode(request.prompt),
            **sampling(params),
            **other_sampling(params, self._profile.kind),
            "seed": short_seed(request.seed),
            **streaming(request),
        }
        if (limit := longest(request, self._profile)) is not None:
            body["max_tokens"] = limit
        if params.logprobs is not None and self._profile.logprobs:  # llama.cpp gives none for 0
            body["logprobs"] = max(params.logprobs, 1)
        if self._profile.kind == "llama.cpp":
            body["cache_prompt"] = True
        if self._profile.kind == "vLLM" and self._tokenizer.has_template:  # which writes them
            body["add_special_tokens"] = False
        return body

    def reader(self, request: Request) -> AnswerReader:
        return TextReader(self._tokenizer, request.params)


def longest(request: Request, profile: ServerProfile) -> int | None:
    """The limit to send: the requested one, or about what the context leaves; None leaves it to the server."""
    asked, context = request.params.max_tokens, profile.max_model_len
    if context is None or (asked is None and profile.kind in OPEN_ENDED):
        return asked
    room = max(context - int(_MARGIN * len(request.prompt)) - 1, 1)
    return room if asked is None else min(asked, room)


def text_of(choice: Mapping[str, Any]) -> str:
    """The text of a choice, in the form of a completion; some servers send it in the form of chat."""
    text = choice.get("text")
    if not text:
        message = choice.get("delta") or choice.get("message")
        text = message.get("content") if isinstance(message, Mapping) else None
    return text if isinstance(text, str) else ""


class TextReader:
    """Cuts text into pieces, the server's own tokens if it lists them, and finds its end."""

    def __init__(self, tokenizer: PieceTokenizer, params: SamplingParams) -> None:
        self._tokenizer = tokenizer
        self._matcher = StopMatcher(tokenizer, params)
        self._params = params
        self._left = params.max_tokens
        self._told = False

    def read(self, choice: Mapping[str, Any]) -> Delta:
        return self.taken(text_of(choice), listed(choice.get("logprobs")), choice.get("finish_reason"))

    def read_plain(self, choices: Sequence[Mapping[str, Any]]) -> Delta:
        return self.taken_all(map(text_of, choices))

    def ended(self, last: Delta, usage: Mapping[str, Any]) -> Delta:
        return last

    def taken(self, text: str, tokens: Listed | None, reason: str | None) -> Delta:
        """The delta of a piece of text, the tokens that the server lists for it, and the word for its end."""
        # A stream's chunk is one token for most servers.
        found = None if tokens is None or not text else tokens.spelling(text)
        ids = self._tokenizer.encode(text) if found is None else self._tokenizer.intern(found.tokens)
        if tokens is not None and text and found is None:
            self._tell_of_lost()
        return self._cut(ids, found, reason)

    def taken_all(self, texts: Iterable[str]) -> Delta:
        """The delta of several pieces of text, each cut separately, so that tokens do not depend on arrival times."""
        encode = self._tokenizer.encode
        return self._cut([token for text in texts for token in encode(text)], None, None)

    def _cut(self, ids: list[int], found: Listed | None, reason: str | None) -> Delta:
        """The delta of these tokens up to the end, if they contain it."""
        stop = self._matcher.feed(ids)
        keep = len(ids) if stop is None else stop.keep
        ended = finish(reason) if stop is None else "stop"
        if self._left is not None and keep >= self._left:
            keep, ended = self._left, ended if stop is not None and keep == self._left else "length"
        if self._left is not None:
            self._left -= keep
        return Delta(
            np.asarray(ids[:keep], np.int64),
            stats=None if found is None else self._stats(found, keep),
            finish=ended,
            stop_reason=stop.reason if stop is not None and ended == "stop" else None,
        )

    def _tell_of_lost(self) -> None:
        if not self._told:
            self._told = True
            _log.warning("the server lists tokens that do not spell its text: their log-probabilities are left out")

    def _stats(self, tokens: Listed, keep: int) -> TokenStats | None:
        return tokens.stats(keep, self._params.logprobs, lambda token: self._tokenizer.intern([token])[0])
