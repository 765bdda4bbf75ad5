"""The tokenizer of a vLLM server, asked over the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from widthwise.backends.http.address import beside
from widthwise.backends.http.client import post
from widthwise.core.arrays import IntArray
from widthwise.core.chat_options import NO_OPTIONS, ChatOptions
from widthwise.core.literal import unguarded

_CACHED = 65_536


class RemoteTokenizer:
    """Encodes and decodes with the server's ``/tokenize`` and ``/detokenize``; answers are remembered.

    Every new text is one blocking request, so a local copy of the tokenizer is much better. The end-of-sequence id is
    not known here: the server ends the requests itself. ``controls`` are known if the model's files are available.
    """

    eos_ids: frozenset[int] = frozenset()
    bos_id: int | None = None

    def __init__(self, base: str, model: str, timeout: float, headers: Mapping[str, str] | None = None) -> None:
        self.base, self._model, self._timeout, self._headers = base, model, timeout, headers
        self.controls: Mapping[str, int] = {}
        self._encode = lru_cache(_CACHED)(self._ask_encode)
        self._decode = lru_cache(_CACHED)(self._ask_decode)

    def encode(self, text: str) -> list[int]:
        return [i for part in unguarded(text, self.controls) if part for i in self._encode(part)]

    def decode(self, ids: Sequence[int] | IntArray) -> str:
        return self._decode(tuple(map(int, ids))) if len(ids) else ""

    def pieces(self, ids: Sequence[int] | IntArray) -> list[str]:
        return [self.decode([i]) for i in ids]

    def chat(self, messages: Sequence[Mapping[str, str]], options: ChatOptions = NO_OPTIONS) -> list[int]:
        is_open = bool(messages) and messages[-1]["role"] == "assistant"
        turns = {"add_generation_prompt": not is_open, "continue_final_message": is_open}
        given = {"chat_template_kwargs": dict(options.arguments)} if options.arguments else {}
        return self._tokens({"messages": [dict(m) for m in messages], "add_special_tokens": False, **turns, **given})

    def _ask_encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokens({"prompt": text, "add_special_tokens": False}))

    def _ask_decode(self, ids: tuple[int, ...]) -> str:
        body = {"model": self._model, "tokens": list(ids)}
        return str(post(beside(self.base, "/detokenize"), body, self._timeout, self._headers)["prompt"])

    def _tokens(self, body: dict[str, object]) -> list[int]:
        answer = post(beside(self.base, "/tokenize"), {"model": self._model, **body}, self._timeout, self._headers)
        return [int(i) for i in answer["tokens"]]
