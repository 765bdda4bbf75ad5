"""What a server's refusal means: ask again later, never again, or with a shorter prompt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from widthwise.backends.http.address import shown
from widthwise.backends.http.rate_headers import told_wait
from widthwise.core.errors import AccessRefused, BackendError, PromptTooLong
from widthwise.core.plain_json import parse
from widthwise.core.secrets import masked

LONGEST_WAIT = 3600.0
"""Seconds: a server that asks to wait longer has nothing more for this run."""

RETRYABLE = frozenset({408, 409, 425, 429, 498, 500, 502, 503, 504, *range(520, 525), 529})
FULL = frozenset({429, 498, 503, 529})
"""Statuses of a server that takes no more at present."""
_TOO_LONG_STATUS = frozenset({400, 413, 422, 500})

# What servers write when a prompt does not fit.
_TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size|string_above_max_length"  # codes: OpenAI, Groq, llama.cpp
    r"|maximum (context|model) length|max_model_len"  # OpenAI, vLLM, Mistral, SGLang, DeepSeek
    r"|context (length|size|window|limit)"  # llama.cpp, SGLang, Ollama, Anthropic
    r"|(prompt|input|request|message)s? (is|are) too long|prompt is longer|prompt too long"  # Anthropic, Bedrock
    r"|range of input length should be"  # DashScope
    r"|reduce the length of the|reduce your message size"  # Groq, OpenAI
    r"|`?inputs`? (tokens )?(\+ `?max_new_tokens`? )?must (be|have)"  # TGI
    r"|input token count .{0,40}exceeds|too many (input |prompt )?tokens"  # Gemini, Cohere
    r"|(input|prompt) (length|tokens).{0,40}(exceed|longer)"
    r"|(exceeds?|larger than) the (maximum|available) .{0,20}(tokens|context|length)"
)
_NO_QUOTA = re.compile(
    r"insufficient_quota|insufficient[ _](balance|credits?|funds)|billing_hard_limit|billing_not_active"
    r"|credit balance is too low|account_deactivated|arrearage|out of credits|payment required"
)
_NO_MODEL = re.compile(
    r"model_not_found|model_not_exist|invalid model|unknown model|no such model|not a valid model"
    r"|model .{0,120}(does not exist|not found|not exist|is not available|no longer available|has been deprecated)"
)
_NO_KEY = re.compile(
    r"invalid_api_key|incorrect api key|invalid api key|api key not valid|api_key_invalid"
    r"|no_db_connection|no connected db"  # LiteLLM, which looks for a key that it does not know in its database
)
_KINDS = {
    "rate_limit": 429, "overloaded": 529, "authentication": 401, "permission": 403, "not_found": 404,
    "invalid_request": 400, "timeout": 504, "unavailable": 503,
}  # fmt: skip


class StatusError(BackendError):
    """The server answered with a ``status`` other than 200, or with an error that stands for one.

    ``body`` is what it said, verbatim; ``wait`` the seconds until it wants to be asked again, if it names them.
    """

    def __init__(self, message: str, status: int, body: str, wait: float | None = None) -> None:
        super().__init__(message, retryable=status in RETRYABLE)
        self.status, self.body, self.wait = status, body, wait


class NoAccess(StatusError, AccessRefused):
    """A refusal that every later request would get too."""

    def __init__(self, message: str, status: int, body: str) -> None:
        super().__init__(message, status, body)
        self.retryable = False


def is_full(error: BackendError) -> bool:
    """Whether a server merely takes no more at present, which is not a failure."""
    return isinstance(error, StatusError) and error.status in FULL


class Unreachable(BackendError):
    """No server answered; this says nothing about what the server can do."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=True)


def unreachable(url: str, reason: object) -> Unreachable:
    return Unreachable(masked(f"no server answers at {shown(url)}: {reason}"))


def broken(url: str, reason: object) -> BackendError:
    """A connection that broke off."""
    return BackendError(masked(f"{shown(url)} broke off the connection ({reason})"), retryable=True)


def status_error(
    url: str, status: int, body: str, headers: Mapping[str, str] | None = None, *, said: str = "answered {status}: "
) -> BackendError:
    """What a status other than 200 means for the caller."""
    message, wording, where = _message(body), body[:20_000].lower(), shown(url)
    said = f"{where} {said.format(status=status)}{message}"
    if status in _TOO_LONG_STATUS and _TOO_LONG.search(wording):
        return PromptTooLong(f"the prompt does not fit {where}'s model: {message}")
    if status in (401, 403) or (status == 400 and _NO_KEY.search(wording)):
        return NoAccess(f"{said} (the key is read from WIDTHWISE_API_KEY or OPENAI_API_KEY)", status, body)
    if _is_final(status, wording):
        return NoAccess(said, status, body)
    wait = told_wait(headers or {}, body) if status in RETRYABLE else None
    if wait is not None and wait > LONGEST_WAIT:
        return NoAccess(f"{said} (it asks to wait {wait / 3600:.1f} hours)", status, body)
    return StatusError(said, status, body, wait)


def _is_final(status: int, wording: str) -> bool:
    """Whether every other request will be refused for the same reason."""
    no_quota = 400 <= status < 500 and _NO_QUOTA.search(wording) is not None
    return status == 402 or no_quota or (status in (400, 404, 422) and _NO_MODEL.search(wording) is not None)


def reported_error(url: str, content: Mapping[str, Any], body: str) -> BackendError | None:
    """The error that a server reports inside an answer with status 200; None if it reports none."""
    error = content.get("error") or (content if content.get("object") == "error" else None)
    if error is None and "choices" not in content and "message" in content and {"code", "type"} & set(content):
        error = content
    return None if not error else status_error(url, _status_of(error), body, said="reported an error: ")


def _status_of(error: Any) -> int:
    """The status that an error object stands for, by its number or the name of its kind; 500 if it has neither."""
    if not isinstance(error, Mapping):
        return 500
    for name in ("code", "status", "status_code", "http_status"):
        number = str(error.get(name) or "")
        if number.isdecimal() and 400 <= int(number[:4]) < 600:
            return int(number)
    kind = " ".join(str(error.get(name) or "") for name in ("type", "code", "status")).lower()
    return next((status for word, status in _KINDS.items() if word in kind), 500)


def _message(body: str) -> str:
    """The message inside an error body: OpenAI's, vLLM's and Ollama's forms, or the text itself."""
    try:
        content: Any = parse(body, finite=False)
    except ValueError:
        return masked(body.strip())[:300] or "no reason given"
    if isinstance(content, list) and content:
        content = content[0]
    for key in ("error", "message", "detail"):
        while isinstance(content, dict) and key in content:
            content = content[key]
    return masked(str(content))[:500] or "no reason given"
