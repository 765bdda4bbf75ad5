"""Blocking requests to an OpenAI-compatible server: what it is, asked once before any generation."""

from __future__ import annotations

import http.client
import json
import logging
import os
import time
import urllib.error
import urllib.request
from typing import Any

from widthwise.core.errors import BackendError, PromptTooLong
from widthwise.core.plain_json import parse

_log = logging.getLogger(__name__)

# What servers write when a prompt does not fit; none of them has a code for it.
_TOO_LONG = ("maximum context length", "maximum model length", "context length", "context size", "context window")
# Seconds to wait before asking again: a server may be busy at the moment when it is asked what it is.
_PATIENCE = (0.1, 0.2, 0.4, 0.8)
_RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})


def headers() -> dict[str, str]:
    """The key from the environment, if there is one; it never reaches a manifest or an error message."""
    key = os.environ.get("WIDTHWISE_API_KEY") or os.environ.get("OPENAI_API_KEY")
    return {"Authorization": f"Bearer {key}"} if key else {}


def get(url: str, timeout: float) -> Any:
    """The JSON at ``url``. Raises BackendError."""
    return _ask(urllib.request.Request(url, headers=headers()), timeout)


def post(url: str, body: dict[str, Any], timeout: float) -> Any:
    """The JSON answer to the JSON ``body``. Raises BackendError."""
    data = json.dumps(body).encode()
    return _ask(
        urllib.request.Request(url, data, {"Content-Type": "application/json", **headers()}, method="POST"), timeout
    )


def status_error(url: str, status: int, body: str) -> BackendError:
    """What a status other than 200 means for the one who asked."""
    message = _message(body)
    if status == 400 and any(words in message.lower() for words in _TOO_LONG):
        return PromptTooLong(f"the prompt does not fit {url}'s model: {message}")
    if status in (401, 403):
        message += " (the key is read from WIDTHWISE_API_KEY or OPENAI_API_KEY)"
    return BackendError(f"{url} answered {status}: {message}", retryable=status in _RETRYABLE)


class Unreachable(BackendError):
    """No server answered; it says nothing about what the server can do."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=True)


def unreachable(url: str, reason: object) -> Unreachable:
    return Unreachable(f"no server answers at {url}: {reason}")


def _ask(request: urllib.request.Request, timeout: float) -> Any:
    for delay in _PATIENCE:
        try:
            return _ask_once(request, timeout)
        except BackendError as error:
            if not error.retryable:
                raise
            _log.info("asked again in %g seconds: %s", delay, error)
        time.sleep(delay)
    return _ask_once(request, timeout)


def _ask_once(request: urllib.request.Request, timeout: float) -> Any:
    url = request.full_url
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return parse(response.read(), finite=False)
    except urllib.error.HTTPError as error:
        raise status_error(url, error.code, error.read().decode(errors="replace")) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise unreachable(url, getattr(error, "reason", error)) from error


def _message(body: str) -> str:
    """The message inside an error body: OpenAI's, vLLM's and Ollama's forms, or the text itself."""
    try:
        content: Any = parse(body, finite=False)
    except ValueError:
        return body.strip()[:300] or "no reason given"
    for key in ("error", "message", "detail"):
        while isinstance(content, dict) and key in content:
            content = content[key]
    return str(content)[:500]
