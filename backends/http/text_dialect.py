"""Speaking to a server in text: llama.cpp, TGI, older servers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from widthwise.backends.engine_seeds import short_seed
from widthwise.backends.http.dialect import AnswerReader, sampling, streaming
from widthwise.backends.http.finish import finish
from widthwise.backends.http.logprobs import with_tops
from widthwise.backends.tokenizers.pieces import PieceTokenizer
from widthwise.core.backend import Delta, Request, SamplingParams, TokenStats
from widthwise.core.trace.stopping import StopMatcher

_log = logging.getLogger(__name__)


class TextDialect:
    """Text both ways: llama.cpp, Ollama, hosted models.

    ``max_tokens`` None leaves the limit to the server; others are counted in the tokenizer's pieces. Stop
    strings are looked for here, since such servers cut them off the text without saying which one it was.
    """

    path = "/completions"

    def __init__(self, tokenizer: PieceTokenizer, *, logprobs: bool) -> None:
        self._tokenizer = tokenizer
        self._logprobs = logprobs

    def body(self, request: Request) -> dict[str, Any]:
        params = request.params
        body = {"prompt": self._tokenizer.decode(request.prompt), **sampling(params), **streaming(request)}
        body["seed"] = short_seed(request.seed)
        if params.top_k:
            body["top_k"] = params.top_k
        if params.min_p:
            body["min_p"] = params.min_p
        if params.repetition_penalty != 1:  # under the name that most servers have for it, and llama.cpp's
            body["repetition_penalty"] = body["repeat_penalty"] = params.repetition_penalty
        if params.presence_penalty:
            body["presence_penalty"] = params.presence_penalty
        if params.frequency_penalty:
            body["frequency_penalty"] = params.frequency_penalty
        if not self._logprobs:
            body.pop("logprobs", None)
        return body

    def reader(self, request: Request) -> AnswerReader:
        return _TextReader(self._tokenizer, request.params)


class _TextReader:
    def __init__(self, tokenizer: PieceTokenizer, params: SamplingParams) -> None:
        self._tokenizer = tokenizer
        self._matcher = StopMatcher(tokenizer, params)
        self._params = params
        self._left = params.max_tokens
        self._told = False

    def read(self, choice: Mapping[str, Any]) -> Delta:
        text, logprobs = choice.get("text") or "", choice.get("logprobs")
        # The server's own tokens, where it lists them; a stream's chunk is one token for most servers.
        tokens = (logprobs or {}).get("tokens")
        exact = tokens is not None and "".join(tokens) == text
        ids = self._tokenizer.intern(tokens) if exact and tokens else self._tokenizer.encode(text)
        self._tell_of_lost(logprobs, exact)
        stop = self._matcher.feed(ids)
        keep = len(ids) if stop is None else stop.keep
        ended = finish(choice.get("finish_reason")) if stop is None else "stop"
        if self._left is not None and keep >= self._left:
            keep, ended = self._left, ended if stop is not None and keep == self._left else "length"
        if self._left is not None:
            self._left -= keep
        return Delta(
            np.asarray(ids[:keep], np.int64),
            stats=self._stats(logprobs, keep) if exact else None,
            finish=ended,
            stop_reason=stop.reason if stop is not None and ended == "stop" else None,
        )

    def _tell_of_lost(self, logprobs: Any, exact: bool) -> None:
        if logprobs and not exact and not self._told:
            self._told = True
            _log.warning("the server lists tokens that are not its text: their log-probabilities are left out")

    def _stats(self, logprobs: Any, keep: int) -> TokenStats | None:
        if self._params.logprobs is None or not (logprobs or {}).get("token_logprobs"):
            return None
        tops = [
            {self._tokenizer.intern([token])[0]: p for token, p in (top or {}).items()}
            for top in (logprobs.get("top_logprobs") or [])[:keep]
        ]
        return with_tops(logprobs["token_logprobs"][:keep], tops, self._params.logprobs)
