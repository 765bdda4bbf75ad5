"""Addressing a server in messages: hosted models, Ollama, everything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from widthwise.backends.engine_seeds import short_seed
from widthwise.backends.http.answer import whole_number
from widthwise.backends.http.dialect import AnswerReader, other_sampling, sampling, streaming
from widthwise.backends.http.logprobs import listed
from widthwise.backends.http.profile import ServerProfile
from widthwise.backends.http.text_dialect import TextReader, longest
from widthwise.backends.tokenizers.pieces import PieceTokenizer
from widthwise.core.backend import Delta, Request, TokenStats
from widthwise.core.conversation import Conversation
from widthwise.core.errors import BackendError

_WITH_TEMPLATES = frozenset({"vLLM", "SGLang", "llama.cpp"})
"""Programs that pass arguments on to the model's chat template."""
_REASONING = ("reasoning_content", "reasoning")
"""The fields in which servers deliver thinking separately from the answer."""


class ChatDialect:
    """Messages to the server, and text from it; thinking precedes the answer, enclosed in the model's marks.

    An assistant's turn that has begun is sent only if the server can be asked to continue it.
    """

    path = "/chat/completions"

    def __init__(self, tokenizer: PieceTokenizer, profile: ServerProfile) -> None:
        self._tokenizer = tokenizer
        self._profile = profile

    def body(self, request: Request) -> dict[str, Any]:
        asked, params = _conversation(request), request.params
        body = {
            **self._messages(asked),
            **self._template(asked),
            **sampling(params),
            **other_sampling(params, self._profile.kind),
            "seed": short_seed(request.seed),
            **streaming(request),
        }
        if (limit := longest(request, self._profile)) is not None and (params.max_tokens is not None):
            body["max_tokens"] = limit
        if params.logprobs is not None and self._profile.logprobs:  # llama.cpp gives none for 0
            body |= {"logprobs": True, "top_logprobs": max(params.logprobs, 1)}
        return body

    def reader(self, request: Request) -> AnswerReader:
        return _ChatReader(self._tokenizer, request, _conversation(request))

    def _messages(self, asked: Conversation) -> dict[str, Any]:
        messages: list[dict[str, Any]] = [dict(message) for message in asked.messages]
        if not asked.is_open:
            return {"messages": messages}
        match self._profile.prefix:
            case "continue_final_message":
                return {"messages": messages, "add_generation_prompt": False, "continue_final_message": True}
            case "prefix":
                return {"messages": [*messages[:-1], {**_apart(messages[-1], asked.marks), "prefix": True}]}
            case "assistant":
                return {"messages": messages}
        raise BackendError(
            f"the server of {self._profile.model} only answers whole conversations and cannot continue one"
        )

    def _template(self, asked: Conversation) -> dict[str, Any]:
        arguments = dict(asked.options.arguments)
        if not arguments:
            return {}
        return {"chat_template_kwargs": arguments} if self._profile.kind in _WITH_TEMPLATES else arguments


def _conversation(request: Request) -> Conversation:
    if request.conversation is None:
        raise BackendError("a server that takes messages can only be asked conversations")
    return request.conversation


def _apart(message: Mapping[str, str], marks: tuple[str, str]) -> dict[str, str]:
    """The assistant's message with its thinking in a separate field."""
    opening, close = marks
    text = message["content"]
    if not text.startswith(opening):
        return dict(message)
    thought, _, said = text[len(opening) :].partition(close)
    return {**message, "content": said, "reasoning_content": thought}


class _ChatReader:
    """Reads ``delta`` (or, in an unstreamed answer, ``message``); ``shown`` counts pieces of thinking."""

    def __init__(self, tokenizer: PieceTokenizer, request: Request, asked: Conversation) -> None:
        self._text = TextReader(tokenizer, request.params)
        self._tokenizer = tokenizer
        self._opening, self._close = asked.marks
        said = asked.messages[-1]["content"] if asked.is_open else ""
        self._inside = self._opening in said and self._close not in said
        self._shown = 0

    def read(self, choice: Mapping[str, Any]) -> Delta:
        message = choice.get("delta") or choice.get("message") or {}
        thought, said = _thought(message), _said(message)
        reason = choice.get("finish_reason")
        text = self._marked(thought, said, over=bool(reason) and reason != "length")
        self._shown += len(self._tokenizer.encode(thought)) if thought else 0
        tokens = listed(choice.get("logprobs"))
        return self._text.taken(text, tokens and tokens.behind(text[: -len(thought + said)]), reason)

    def read_plain(self, choices: Sequence[Mapping[str, Any]]) -> Delta:
        return self._text.taken_all(map(self._text_of, choices))

    def _text_of(self, choice: Mapping[str, Any]) -> str:
        message = choice.get("delta") or choice.get("message") or {}
        thought, said = _thought(message), _said(message)
        self._shown += len(self._tokenizer.encode(thought)) if thought else 0
        return self._marked(thought, said, over=False)

    def ended(self, last: Delta, usage: Mapping[str, Any]) -> Delta:
        """Tokens of hidden thinking are appended at the end; each spells nothing."""
        counted = _reasoning_tokens(usage)
        if 2 * self._shown >= counted:  # shown in full, in pieces of about a token
            return last
        hidden = self._tokenizer.intern([""] * (counted - self._shown))
        ids = np.concatenate([last.token_ids, np.asarray(hidden, np.int64)])
        return replace(last, token_ids=ids, stats=_padded(last.stats, len(hidden)))

    def _marked(self, thought: str, said: str, *, over: bool) -> str:
        """A piece of thinking and of answer, with the marks where thinking begins and ends."""
        text = ""
        if thought:
            text += thought if self._inside else self._opening + thought
            self._inside = True
        if self._inside and (said or over):
            text += self._close
            self._inside = False
        return text + said


def _reasoning_tokens(usage: Mapping[str, Any]) -> int:
    """Tokens of thinking, as the server counts them; Gemini includes them in the total only."""
    details = usage.get("completion_tokens_details")
    if isinstance(details, dict) and (counted := whole_number(details.get("reasoning_tokens"))):
        return counted
    prompt, said, total = (whole_number(usage.get(f"{name}_tokens")) for name in ("prompt", "completion", "total"))
    return max(total - prompt - said, 0)


def _thought(message: Mapping[str, Any]) -> str:
    for name in _REASONING:
        if (thought := message.get(name)) and isinstance(thought, str):
            return thought
    content = message.get("content")
    return _parts(content, "thinking") if isinstance(content, list) else ""


def _said(message: Mapping[str, Any]) -> str:
    content = message.get("content") or message.get("refusal") or ""
    return content if isinstance(content, str) else _parts(content, "text")


def _parts(content: Any, kind: str) -> str:
    """The text of the parts of this kind, of content that comes in parts (Mistral's)."""
    if not isinstance(content, list):
        return content if kind == "text" and isinstance(content, str) else ""
    found = [part[kind] for part in content if isinstance(part, dict) and part.get("type") == kind and kind in part]
    return "".join(part if isinstance(part, str) else _parts(part, "text") for part in found)


def _padded(stats: TokenStats | None, hidden: int) -> TokenStats | None:
    """Statistics of some tokens, followed by hidden ones about which nothing is known."""
    if stats is None:
        return None
    return TokenStats(np.concatenate([stats.logprobs, np.full(hidden, np.nan, np.float32)]))
