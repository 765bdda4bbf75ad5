"""Blocking requests to an OpenAI-compatible server before any generation: its description and its tokenizer."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import aiohttp

from widthwise.backends.http.address import shown
from widthwise.backends.http.rate_headers import told_wait
from widthwise.backends.http.statuses import StatusError, Unreachable, status_error, unreachable
from widthwise.backends.http.transport import Transport, whole, whole_text
from widthwise.backends.loop_thread import LoopThread
from widthwise.core.errors import BackendError
from widthwise.core.plain_json import parse

__all__ = ["StatusError", "Unreachable", "get", "post", "status_error", "unreachable"]

_log = logging.getLogger(__name__)

# A server may be busy when it is asked what it is: seconds to wait before asking again, doubling.
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 10.0
_PATIENCE = 1.6

Headers = Mapping[str, str]


def get(url: str, timeout: float, headers: Headers | None = None, *, patience: float = _PATIENCE) -> Any:
    """The JSON at ``url``; asked again for ``patience`` seconds if a failure may be temporary. Raises BackendError."""
    return _thread(os.getpid()).call(_asked(url, None, timeout, headers, patience))


def post(
    url: str, body: Mapping[str, Any], timeout: float, headers: Headers | None = None, *, patience: float = _PATIENCE
) -> Any:
    """The JSON answer to the JSON ``body``, as ``get`` does. Raises BackendError."""
    return _thread(os.getpid()).call(_asked(url, body, timeout, headers, patience))


@lru_cache(1)
def _thread(process: int) -> LoopThread:
    """Where this process makes its requests; callers may be in an event loop themselves."""
    return LoopThread("widthwise-asking")


async def _asked(url: str, body: Any, timeout: float, headers: Headers | None, patience: float) -> Any:
    transport, delay = Transport(timeout, headers), _FIRST_DELAY
    try:
        while True:
            wait, error = await _answer_or_wait(transport, url, body, timeout)
            if error is None:
                return wait
            pause = max(delay, wait or 0.0)
            if not error.retryable or pause > patience:
                raise error
            _log.info("asking again in %g seconds: %s", pause, error)
            await asyncio.sleep(pause)
            patience, delay = patience - pause, min(delay * 2, _LONGEST_DELAY)
    finally:
        await transport.close()


async def _answer_or_wait(transport: Transport, url: str, body: Any, timeout: float) -> tuple[Any, BackendError | None]:
    """The answer; or the seconds that the server asks to wait, if it names any, and why it did not answer."""
    try:
        async with asyncio.timeout(timeout):
            response = await transport.begin(url, body)
            try:
                if response.status == 200:
                    return parse(await whole(response, url), finite=False), None
                text = await whole_text(response, url)
            finally:
                response.close()
        return told_wait(response.headers, text), status_error(url, response.status, text, response.headers)
    except BackendError as error:
        return None, error
    except TimeoutError:
        return None, unreachable(url, f"it sent nothing for {timeout:g} seconds")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return None, unreachable(shown(url), error)
