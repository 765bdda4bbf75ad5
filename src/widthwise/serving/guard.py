"""Who may ask: those with a key, and on this machine only those who name it."""

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
    """Lets requests to ``app`` with one of ``keys`` (all, where there is none) through; ``hosts`` are the names by
    which it may be called (None: any): a web page whose name was made to lead here is not among them."""

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
            return Refusal(403, "this server answers to the name of its own machine only", code="wrong_host")
        if not self._keys or scope["path"] in _OPEN or self._is_known(headers.get("authorization", "")):
            return None
        message = "a valid key is needed: send the header Authorization: Bearer KEY"
        return Refusal(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})

    def _is_known(self, header: str) -> bool:
        """Whether the header has one of the keys; how long it takes does not depend on how much of one is right."""
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
