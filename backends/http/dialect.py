"""How to address a server: what every dialect can do, and what the dialects have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from widthwise.core.backend import Delta, Request, SamplingParams

OWN_SAMPLERS = frozenset({"vLLM", "SGLang", "llama.cpp", "Ollama"})
"""Programs that filter and penalise by default, or as the model's files say, unless told otherwise."""
_LLAMA_CPP_SAMPLERS = ["penalties", "temperature", "min_p", "top_k", "top_p"]
"""llama.cpp would filter before it applies the temperature, and has more samplers."""
_WHOLE_TEXT = 1 << 20
"""Over how many past tokens llama.cpp is to penalise: all of them, since its default is 64."""


class AnswerReader(Protocol):
    """Reads one request's answer, piece by piece."""

    def read(self, choice: Mapping[str, Any]) -> Delta:
        """The delta in one ``choices[0]``; its ``finish`` is set when the request has come to its end.

        Raises ``BackendError`` for a piece that does not belong to this dialect.
        """
        ...

    def read_plain(self, choices: Sequence[Mapping[str, Any]]) -> Delta:
        """The delta of several pieces at once that carry nothing but sampled text; otherwise like ``read``."""
        ...

    def ended(self, last: Delta, usage: Mapping[str, Any]) -> Delta:
        """``last``, the delta with the finish, after the server has reported usage."""
        ...


class Dialect(Protocol):
    """How requests are written and answers are read. ``path`` is where requests go, below the server's base."""

    path: str

    def body(self, request: Request) -> dict[str, Any]:
        """What is sent, without the model's name; raises ``BackendError`` for what the server cannot be asked."""
        ...

    def reader(self, request: Request) -> AnswerReader:
        """Holds the state of one request's answer."""
        ...


def sampling(params: SamplingParams) -> dict[str, Any]:
    """The parameters that every server takes."""
    return {"temperature": params.temperature, "top_p": params.top_p}


def other_sampling(params: SamplingParams, kind: str | None) -> dict[str, Any]:
    """The parameters that not every server takes.

    Programs with their own samplers get all of them, others those that change something.
    """
    every = kind in OWN_SAMPLERS
    body: dict[str, Any] = {}
    if every or params.top_k:
        body["top_k"] = params.top_k or (-1 if kind == "SGLang" else 0)
    if every or params.min_p:
        body["min_p"] = params.min_p
    if every or params.repetition_penalty != 1:  # under the name that most servers use, and under llama.cpp's
        body["repetition_penalty"] = body["repeat_penalty"] = params.repetition_penalty
        if kind in ("vLLM", "SGLang"):
            del body["repeat_penalty"]
    if every or params.presence_penalty:
        body["presence_penalty"] = params.presence_penalty
    if every or params.frequency_penalty:
        body["frequency_penalty"] = params.frequency_penalty
    if kind == "llama.cpp":
        body |= {"typical_p": 1.0, "samplers": _LLAMA_CPP_SAMPLERS}
        if (params.repetition_penalty, params.presence_penalty, params.frequency_penalty) != (1, 0, 0):
            body["repeat_last_n"] = _WHOLE_TEXT
    return body


def streaming(request: Request) -> dict[str, Any]:
    """vLLM gives the prompt's log-probabilities only without streaming."""
    if request.params.prompt_logprobs is not None:
        return {"stream": False}
    return {"stream": True, "stream_options": {"include_usage": True}}
