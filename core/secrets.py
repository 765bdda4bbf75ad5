"""Keys and passwords: which names hold one, and texts with them removed."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

MASK = "***"

_SHORTEST = 4
"""The fewest characters of a secret: a shorter one would be found in every second word."""
_SHOWN_PART = 8
"""So many characters of a secret, at its beginning or its end, are as sensitive as the whole."""

_PLAIN = {
    *("authorization", "cookie", "password", "passwd", "passphrase", "secret", "secrets", "credential", "credentials"),
    *("apikey", "key", "keys", "auth", "bearer", "signature", "sig"),
}
_TOKENS_OF = {"hf", "auth", "access", "api", "bearer", "refresh", "id", "security", "session", "secret", "hub", "user"}
_QUERY = re.compile(r"([?&]([^=&#\s]+)=)([^&#\s]*)")
_known: set[str] = set()
_known_bytes: set[bytes] = set()


def keep_secret(value: str) -> str:
    """From now on mask ``value`` wherever a text passes through ``masked``; returns it."""
    text = value.strip()
    for spelled in (text, text.partition(" ")[2].strip() if text[:7].lower() in ("bearer ", "basic x") else text):
        if len(spelled) >= _SHORTEST:
            _known.update((spelled, quote(spelled, safe=""), b64encode(spelled.encode()).decode()))
            _known_bytes.update(secret.encode() for secret in _known)
    return value


def masked(text: str) -> str:
    """``text`` with every secret in it masked, and every large part of one."""
    for secret in sorted(_known, key=len, reverse=True):
        if secret in text:
            text = text.replace(secret, MASK)
        if len(secret) >= 2 * _SHOWN_PART:
            text = _without_part(text, secret)
    return text


def holds_secret(data: bytes) -> bool:
    """Whether ``data`` contains a secret verbatim."""
    return any(secret in data for secret in _known_bytes)


def names_secret(name: str) -> bool:
    """Whether an argument, header or query field with this name holds a secret: ``api_key``, ``X-Token``."""
    words = [word for word in re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()) if word]
    if not words:
        return False
    token = words[-1] == "token" and (len(words) == 1 or words[-2] in _TOKENS_OF or words[0] in ("header", "x"))
    return token or not _PLAIN.isdisjoint(words) or words[-1].endswith(("apikey", "password"))


def shown_address(text: str) -> str:
    """A model's name or address without a password and without secrets in its query."""
    text = re.sub(r"(?<=//)[^/@\s?#]+@", "", text)
    return masked(_QUERY.sub(lambda found: found[1] + (MASK if names_secret(found[2]) else found[3]), text))


def keep_secrets(arguments: Mapping[str, Any]) -> None:
    """From now on mask the secrets among the arguments."""
    for name, value in arguments.items():
        if isinstance(value, Mapping):
            keep_secrets(value)
        elif names_secret(name) and value is not None:
            keep_secret(str(value))


def without_secrets(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that may be stored and shown, at every depth."""
    return {name: harmless(value) for name, value in arguments.items() if not names_secret(name)}


def harmless(value: Any) -> Any:
    if isinstance(value, Mapping):
        return without_secrets(value)
    if isinstance(value, list | tuple):
        return [harmless(item) for item in value]
    return masked(value) if isinstance(value, str) else value


def _without_part(text: str, secret: str) -> str:
    """``text`` without longer beginnings and ends of ``secret``, which servers quote for keys that they do not know."""
    begin, end = secret[:_SHOWN_PART], secret[-_SHOWN_PART:]
    while (at := text.find(begin)) >= 0:
        length = _common(text[at:], secret)
        text = text[:at] + MASK + text[at + length :]
    while (at := text.find(end)) >= 0:
        stop = at + _SHOWN_PART
        length = _common(text[:stop][::-1], secret[::-1])
        text = text[: stop - length] + MASK + text[stop:]
    return text


def _common(a: str, b: str) -> int:
    """How many characters two texts share at their beginning."""
    n = min(len(a), len(b))
    return next((i for i in range(n) if a[i] != b[i]), n)
