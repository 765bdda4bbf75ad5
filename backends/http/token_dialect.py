"""Addressing a server in token ids: vLLM, SGLang."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from widthwise.backends.engine_seeds import long_seed
from widthwise.backends.http.dialect import AnswerReader, other_sampling, sampling, streaming
from widthwise.backends.http.finish import finish
from widthwise.backends.http.logprobs import listed, with_tops
from widthwise.backends.http.profile import ServerProfile
from widthwise.core.backend import Delta, Request, Tokenizer, TokenStats
from widthwise.core.errors import BackendError


class TokenDialect:
    """Token ids both ways: vLLM, and servers with its extensions. The server detects all stops."""

    path = "/completions"

    def __init__(self, tokenizer: Tokenizer, profile: ServerProfile) -> None:
        self._tokenizer = tokenizer
        self._profile = profile

    def body(self, request: Request) -> dict[str, Any]:
        params = request.params
        body = {
            "prompt": request.prompt.tolist(),
            "add_special_tokens": False,
            **sampling(params),
            # A model's own generation settings would silently change these.
            **other_sampling(params, self._profile.kind or "vLLM"),
            "max_tokens": self._longest(request),
            "seed": long_seed(request.seed),
            "stop": list(params.stop),
            "stop_token_ids": sorted({*params.stop_token_ids, *self._tokenizer.eos_ids}),
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
            "return_token_ids": True,
            **self._keeping_stops(),
            **streaming(request),
        }
        if params.logprobs is not None:
            body |= {"logprobs": params.logprobs, "return_tokens_as_token_ids": True}
        if params.prompt_logprobs is not None:
            body["prompt_logprobs"] = params.prompt_logprobs
        if body["stream"]:
            body["stream_interval"] = max(1, request.chunk)
        if self._profile.priorities:
            body["priority"] = request.priority
        return body

    def reader(self, request: Request) -> AnswerReader:
        return _TokenReader(request, self._tokenizer)

    def _longest(self, request: Request) -> int | None:
        """The requested limit, or what the context leaves: a server refuses more, and gives 16 if no limit is given."""
        context = self._profile.max_model_len
        room = None if context is None else context - len(request.prompt)
        return min((limit for limit in (room, request.params.max_tokens) if limit is not None), default=None)

    def _keeping_stops(self) -> dict[str, bool]:
        """Keep the text of stop strings in the answer."""
        return {"no_stop_trim": True} if self._profile.kind == "SGLang" else {"include_stop_str_in_output": True}


class _TokenReader:
    def __init__(self, request: Request, tokenizer: Tokenizer) -> None:
        self._request = request
        self._tokenizer = tokenizer
        self._received = False

    def read(self, choice: Mapping[str, Any]) -> Delta:
        params = self._request.params
        ids = np.asarray(choice.get("token_ids") or [], np.int64)
        self._received = self._received or len(ids) > 0
        if choice.get("text") and not self._received:
            raise BackendError("the server was asked for token ids but streams text without any: use dialect=text")
        reason = choice.get("stop_reason", choice.get("matched_stop"))
        asked_for = isinstance(reason, str) or reason in params.stop_token_ids
        return Delta(
            ids,
            stats=self._stats(choice.get("logprobs"), len(ids)),
            finish=finish(choice.get("finish_reason")),
            stop_reason=reason if asked_for else None,
            prompt_stats=_prompt_stats(choice.get("prompt_logprobs"), self._request),
        )

    def read_plain(self, choices: Sequence[Mapping[str, Any]]) -> Delta:
        ids = [i for choice in choices for i in choice.get("token_ids") or ()]
        return self.read({"token_ids": ids, "text": "".join(str(choice.get("text") or "") for choice in choices)})

    def ended(self, last: Delta, usage: Mapping[str, Any]) -> Delta:
        return last

    def _stats(self, logprobs: Any, length: int) -> TokenStats | None:
        found = listed(logprobs) if length and self._request.params.logprobs is not None else None
        if found is None or len(found.own) != length:
            return None
        return found.stats(length, self._request.params.logprobs, self._id_of)

    def _id_of(self, token: str) -> int | None:
        """The id in ``token_id:17``; if a server writes the token's text, the id that spells it."""
        if token.startswith("token_id:") and token[9:].isdigit():
            return int(token[9:])
        ids = self._tokenizer.encode(token)
        return ids[0] if len(ids) == 1 else None


def _prompt_stats(positions: Any, request: Request) -> TokenStats | None:
    k = request.params.prompt_logprobs
    if k is None or not positions:
        return None
    rows = [{int(token): float(entry["logprob"]) for token, entry in position.items()} for position in positions[1:]]
    own: list[float | None] = [row[token] for row, token in zip(rows, request.prompt[1:].tolist(), strict=True)]
    return with_tops(own, rows, k)
