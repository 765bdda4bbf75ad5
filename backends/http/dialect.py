"""How a server is spoken to: what every dialect can do, and what they have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from widthwise.core.backend import Delta, Request, SamplingParams


class AnswerReader(Protocol):
    """Reads one request's answer, piece by piece."""

    def read(self, choice: Mapping[str, Any]) -> Delta:
        """The delta in one ``choices[0]``; its ``finish`` is set when the request has come to its end."""
        ...


class Dialect(Protocol):
    """How requests are written and answers are read. ``path`` is where requests go, below the server's base."""

    path: str

    def body(self, request: Request) -> dict[str, Any]:
        """What is sent, but for the model's name."""
        ...

    def reader(self, request: Request) -> AnswerReader:
        """Holds the state of one request's answer."""
        ...


def sampling(params: SamplingParams) -> dict[str, Any]:
    body: dict[str, Any] = {"temperature": params.temperature, "top_p": params.top_p}
    if params.max_tokens is not None:
        body["max_tokens"] = params.max_tokens
    if params.logprobs is not None:
        body["logprobs"] = params.logprobs
    return body


def streaming(request: Request) -> dict[str, Any]:
    """vLLM gives the prompt's log-probabilities only with an answer in one piece."""
    if request.params.prompt_logprobs is not None:
        return {"stream": False}
    return {"stream": True, "stream_options": {"include_usage": True}}
