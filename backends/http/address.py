"""Where a server is: the base of its paths, from whatever users write or paste."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from widthwise.core.errors import UsageError
from widthwise.core.secrets import MASK, keep_secret, masked, names_secret

# What is pasted whole from a command or from documentation; longer ones first.
_PATHS = (
    *("/chat/completions", "/completions", "/embeddings", "/responses", "/messages", "/models", "/pooling"),
    *("/tokenize", "/health"),
)
Origin = tuple[str, str, int | None]
_VERSION = re.compile(r"/v\d+\w*$")
_VERSIONED = re.compile(r"/v\d+\w*(/|$)")


def listed(urls: str | Sequence[str]) -> list[str]:
    """The servers' bases one by one, without the models that they name. Raises UsageError for an invalid address."""
    return named(urls)[0]


def named(urls: str | Sequence[str], model: str | None = None) -> tuple[list[str], str | None]:
    """The servers' bases, and the model: ``model``, or the one that the addresses name (``URL#MODEL``).

    Raises UsageError if they name different models, or if there is no address.
    """
    each = urls.split(",") if isinstance(urls, str) else list(urls)
    parts = [url.strip().partition("#") for url in each if url.strip()]
    models = list(dict.fromkeys([*([model] if model else []), *(name for _, _, name in parts if name)]))
    if not any(url for url, _, _ in parts):
        raise UsageError("the http backend needs a URL, such as http://host:8000/v1")
    if len(models) > 1:
        raise UsageError(f"only one model can be used at a time, but {' and '.join(models)} are named: name one")
    return list(dict.fromkeys(base_of(url) for url, _, _ in parts)), models[0] if models else None


def base_of(url: str) -> str:
    """The common beginning of the server's paths, with the address's query: ``http://h`` is ``http://h/v1``.

    Paths that were pasted whole (``.../v1/chat/completions``) are cut back. Raises UsageError for an invalid address.
    """
    split = _split(url)
    path = split.path.rstrip("/")
    for whole in _PATHS:
        path = path.removesuffix(whole).rstrip("/")
    return urlunsplit(split._replace(path=path or "/v1", fragment=""))


def bases(base: str) -> list[str]:
    """The base, and where else the paths may be if they are not there: some servers have no ``/v1``, some hide it."""
    split = urlsplit(base)
    if split.path == "/v1":
        return [base, urlunsplit(split._replace(path=""))]
    if _VERSIONED.search(split.path) or split.query:
        return [base]
    return [base, urlunsplit(split._replace(path=split.path + "/v1"))]


@lru_cache(1024)
def endpoint(base: str, path: str) -> str:
    """The address of ``path`` (``/completions``) below a base; the base's query is kept."""
    split = urlsplit(base)
    return urlunsplit(split._replace(path=split.path.rstrip("/") + path))


def beside(base: str, path: str) -> str:
    """The address of a ``path`` (``/version``) that is not part of the API but stands beside ``/v1``."""
    split = urlsplit(base)
    return urlunsplit(split._replace(path=_VERSION.sub("", split.path.rstrip("/")) + path))


@lru_cache(1024)
def origin(url: str) -> Origin:
    """Scheme, host and port: a key that was given for one origin is not sent to another."""
    split = urlsplit(url)
    ports = {"http": 80, "https": 443}
    return split.scheme.lower(), (split.hostname or "").lower(), split.port or ports.get(split.scheme.lower())


def login(url: str) -> tuple[str, str] | None:
    """User and password in an address; both are kept secret from now on."""
    split = urlsplit(url)
    if split.username is None:
        return None
    user, password = unquote(split.username), unquote(split.password or "")
    keep_secret(password or user)
    return user, password


@lru_cache(1024)
def without_login(url: str) -> str:
    split = urlsplit(url)
    return urlunsplit(split._replace(netloc=split.netloc.rpartition("@")[2]))


def shown(url: str) -> str:
    """An address as it may be printed and stored: no password, no key."""
    split = urlsplit(without_login(url))
    if split.query:
        fields = [(k, MASK if names_secret(k) else v) for k, v in parse_qsl(split.query, keep_blank_values=True)]
        split = split._replace(query=urlencode(fields, safe="*"))
    return masked(urlunsplit(split))


def _split(url: str) -> SplitResult:
    whole = url if "://" in url else f"http://{url}"
    try:
        split = urlsplit(whole)
        sound = split.scheme in ("http", "https") and bool(split.hostname) and (split.port or 1) > 0
    except ValueError:
        sound = False
    if not sound or any(c.isspace() for c in url):
        raise UsageError(f"{shown_safely(url)!r} is not a server address: write http://host:8000/v1")
    return split


def shown_safely(url: str) -> str:
    """``shown``, for a text that may not be an address at all."""
    try:
        return shown(url)
    except ValueError:
        return masked(re.sub(r"//[^/@]*@", "//", url))
