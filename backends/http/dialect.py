"""The two ways of speaking to a completions server: in token ids, and in text where it knows nothing else."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from widthwise.backends.engine_seeds import long_seed, short_seed
from widthwise.backends.tokenizers.pieces import PieceTokenizer
from widthwise.core.backend import Delta, FinishReason, Request, SamplingParams, Tokenizer, TokenStats
from widthwise.core.trace.stopping import StopMatcher

_log = logging.getLogger(__name__)


class Dialect(Protocol):
    """How requests are written and answers are read. ``reader`` holds one request's state."""

    def body(self, request: Request) -> dict[str, Any]: ...

    def reader(self, request: Request) -> AnswerReader: ...


class AnswerReader(Protocol):
    def read(self, choice: Mapping[str, Any]) -> Delta:
        """The delta in one ``choices[0]``; its ``finish`` is set when the request has come to its end."""
        ...


class TokenDialect:
    """Token ids both ways: vLLM, and servers with its extensions. The server looks for all stops."""

    def __init__(self, tokenizer: Tokenizer, *, priorities: bool, max_model_len: int | None) -> None:
        self._tokenizer = tokenizer
        self._max_len = max_model_len
        self._priorities = priorities

    def body(self, request: Request) -> dict[str, Any]:
        params = request.params
        body = {
            "prompt": request.prompt.tolist(),
            "add_special_tokens": False,
            **_sampling(params),
            # A server's own limit is 16 where none is given.
            "max_tokens": params.max_tokens or (self._max_len and self._max_len - len(request.prompt)),
            # A model's own generation settings would change these unasked.
            "top_k": params.top_k,
            "min_p": params.min_p,
            "repetition_penalty": params.repetition_penalty,
            "presence_penalty": params.presence_penalty,
            "frequency_penalty": params.frequency_penalty,
            "seed": long_seed(request.seed),
            "stop": list(params.stop),
            "include_stop_str_in_output": True,
            "stop_token_ids": sorted({*params.stop_token_ids, *self._tokenizer.eos_ids}),
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
            "return_token_ids": True,
            "return_tokens_as_token_ids": True,
            **_streaming(request),
        }
        if params.prompt_logprobs is not None:
            body["prompt_logprobs"] = params.prompt_logprobs
        if body["stream"]:
            body["stream_interval"] = max(1, request.chunk)
        if self._priorities:
            body["priority"] = request.priority
        return body

    def reader(self, request: Request) -> AnswerReader:
        return _TokenReader(request)


class _TokenReader:
    def __init__(self, request: Request) -> None:
        self._request = request

    def read(self, choice: Mapping[str, Any]) -> Delta:
        params = self._request.params
        ids = np.asarray(choice.get("token_ids") or [], np.int64)
        reason = choice.get("stop_reason")
        asked_for = isinstance(reason, str) or reason in params.stop_token_ids
        return Delta(
            ids,
            stats=_token_stats(choice.get("logprobs"), params.logprobs, len(ids)),
            finish=_finish(choice.get("finish_reason")),
            stop_reason=reason if asked_for else None,
            prompt_stats=_prompt_stats(choice.get("prompt_logprobs"), self._request),
        )


class TextDialect:
    """Text both ways: llama.cpp, Ollama, hosted models.

    ``max_tokens`` None leaves the limit to the server; others are counted in the tokenizer's pieces. Stop
    strings are looked for here, since such servers cut them off the text without saying which one it was.
    """

    def __init__(self, tokenizer: PieceTokenizer, *, logprobs: bool) -> None:
        self._tokenizer = tokenizer
        self._logprobs = logprobs

    def body(self, request: Request) -> dict[str, Any]:
        params = request.params
        body = {"prompt": self._tokenizer.decode(request.prompt), **_sampling(params), **_streaming(request)}
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
        finish = _finish(choice.get("finish_reason")) if stop is None else "stop"
        if self._left is not None and keep >= self._left:
            keep, finish = self._left, finish if stop is not None and keep == self._left else "length"
        if self._left is not None:
            self._left -= keep
        return Delta(
            np.asarray(ids[:keep], np.int64),
            stats=self._stats(logprobs, keep) if exact else None,
            finish=finish,
            stop_reason=stop.reason if stop is not None and finish == "stop" else None,
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
        return _with_tops(logprobs["token_logprobs"][:keep], tops, self._params.logprobs)


def _sampling(params: SamplingParams) -> dict[str, Any]:
    body: dict[str, Any] = {"temperature": params.temperature, "top_p": params.top_p}
    if params.max_tokens is not None:
        body["max_tokens"] = params.max_tokens
    if params.logprobs is not None:
        body["logprobs"] = params.logprobs
    return body


def _streaming(request: Request) -> dict[str, Any]:
    """vLLM gives the prompt's log-probabilities only with an answer in one piece."""
    if request.params.prompt_logprobs is not None:
        return {"stream": False}
    return {"stream": True, "stream_options": {"include_usage": True}}


def _finish(reason: str | None) -> FinishReason | None:
    """What a server names, and "stop" for every other end than the length's."""
    if not reason:
        return None
    if reason not in ("stop", "length"):
        _log.warning("the server ended an answer with %r, which counts as its end by itself", reason)
    return "length" if reason == "length" else "stop"


def _token_stats(logprobs: Any, k: int | None, length: int) -> TokenStats | None:
    if k is None or not logprobs or not length:
        return None
    tops = [{_token_id(token): p for token, p in (top or {}).items()} for top in logprobs.get("top_logprobs") or []]
    return _with_tops(logprobs["token_logprobs"], tops, k)


def _token_id(token: str) -> int:
    return int(token.removeprefix("token_id:"))


def _with_tops(own: list[float | None], tops: list[dict[int, float]], k: int) -> TokenStats:
    """Statistics with the ``k`` best of each position's ``{id: logprob}``, where every position has as many."""
    logprobs = np.array([np.nan if p is None else p for p in own], np.float32)
    if k == 0:
        return TokenStats(logprobs)
    if len(tops) < len(own) or any(len(top) < k for top in tops):
        _log.debug("the server gave fewer than %d most likely tokens somewhere: they are left out", k)
        return TokenStats(logprobs)
    best = [sorted(top.items(), key=lambda entry: -entry[1])[:k] for top in tops]
    ids = np.array([[token for token, _ in row] for row in best], np.int64).reshape(-1, k)
    return TokenStats(logprobs, ids, np.array([[p for _, p in row] for row in best], np.float32).reshape(-1, k))


def _prompt_stats(positions: Any, request: Request) -> TokenStats | None:
    k = request.params.prompt_logprobs
    if k is None or not positions:
        return None
    rows = [{int(token): float(entry["logprob"]) for token, entry in position.items()} for position in positions[1:]]
    own: list[float | None] = [row[token] for row, token in zip(rows, request.prompt[1:].tolist(), strict=True)]
    return _with_tops(own, rows, k)
