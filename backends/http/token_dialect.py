"""Speaking to a server in token ids: vLLM, SGLang."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from widthwise.backends.engine_seeds import long_seed
from widthwise.backends.http.dialect import AnswerReader, sampling, streaming
from widthwise.backends.http.finish import finish
from widthwise.backends.http.logprobs import with_tops
from widthwise.core.backend import Delta, Request, Tokenizer, TokenStats


class TokenDialect:
    """Token ids both ways: vLLM, and servers with its extensions. The server looks for all stops."""

    path = "/completions"

    def __init__(self, tokenizer: Tokenizer, *, priorities: bool, max_model_len: int | None) -> None:
        self._tokenizer = tokenizer
        self._max_len = max_model_len
        self._priorities = priorities

    def body(self, request: Request) -> dict[str, Any]:
        params = request.params
        body = {
            "prompt": request.prompt.tolist(),
            "add_special_tokens": False,
            **sampling(params),
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
            **streaming(request),
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
            finish=finish(choice.get("finish_reason")),
            stop_reason=reason if asked_for else None,
            prompt_stats=_prompt_stats(choice.get("prompt_logprobs"), self._request),
        )


def _token_stats(logprobs: Any, k: int | None, length: int) -> TokenStats | None:
    if k is None or not logprobs or not length:
        return None
    tops = [{_token_id(token): p for token, p in (top or {}).items()} for top in logprobs.get("top_logprobs") or []]
    return with_tops(logprobs["token_logprobs"], tops, k)


def _token_id(token: str) -> int:
    return int(token.removeprefix("token_id:"))


def _prompt_stats(positions: Any, request: Request) -> TokenStats | None:
    k = request.params.prompt_logprobs
    if k is None or not positions:
        return None
    rows = [{int(token): float(entry["logprob"]) for token, entry in position.items()} for position in positions[1:]]
    own: list[float | None] = [row[token] for row, token in zip(rows, request.prompt[1:].tolist(), strict=True)]
    return with_tops(own, rows, k)
