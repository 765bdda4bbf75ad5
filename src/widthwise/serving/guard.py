"""Who may ask: clients with a key, and on this machine only those that use its name."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from widthwise.core.secrets import keep_secret
from widthwise.serving.refusal import Refusal

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
"""Names of the machine itself."""
_OPEN = frozenset({"/health"})
"""Paths that need no key."""


class Guard:
    """Lets requests with one of ``keys`` through to ``app`` (all requests, if there are no keys).

    ``hosts`` are the names by which the server may be called (None: any): a web page whose domain was pointed here is
    refused.
    """

    def __init__(self, app: ASGIApp, *, keys: Iterable[str] = (), hosts: Collection[str] | None = None) -> None:
        self._app = app
        self._keys = [_digest(keep_secret(key).encode()) for key in keys]
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (self._app if refusal is None else refusal.response)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        if self._hosts is not None and _hostname(headers.get("host", "")) not in self._hosts:
            return Refusal(403, "this server only answers to the name of its own machine", code="wrong_host")
        if not self._keys or scope["path"] in _OPEN or self._is_known(headers.get("authorization", "")):
            return None
        message = "a valid key is needed: send the header Authorization: Bearer KEY"
        return Refusal(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})

    def _is_known(self, header: str) -> bool:
        """Whether the header has one of the keys; the time taken does not depend on how much of one is right."""
        scheme, _, key = header.partition(" ")
        given = _digest(key.strip().encode("latin-1", "replace"))
        matches = [hmac.compare_digest(given, known) for known in self._keys]
        return scheme.lower() == "bearer" and any(matches)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _hostname(header: str) -> str:
    """The name in a ``Host`` header, without its port and brackets."""
    name = header.strip().lower()
    return name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
