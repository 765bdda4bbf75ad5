"""How requests reach a server: keys only for their own origin, redirects, proxies, TLS."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin
from urllib.request import getproxies, proxy_bypass

import aiohttp

from widthwise.backends.http.address import Origin, login, origin, shown, without_login
from widthwise.backends.http.statuses import broken, unreachable
from widthwise.core.errors import BackendError
from widthwise.core.secrets import keep_secret, masked, names_secret

_log = logging.getLogger(__name__)

_KEPT_SECONDS = 4.0
"""How long an idle connection is kept for reuse: vLLM's server closes its own after five seconds."""
_MOST_REDIRECTS = 5
_LONGEST_REFUSAL = 2**20
MOST_BYTES = 2**28
"""Size limit in bytes, unpacked, for one event or an unstreamed answer: no completion is larger."""
_ENVIRONMENT = ("WIDTHWISE_API_KEY", "OPENAI_API_KEY")
_KEY_HEADERS = {"authorization", "api-key", "x-api-key", "x-goog-api-key"}


def key_headers(url: str, given: Mapping[str, str]) -> dict[str, str]:
    """The ``given`` headers and the key: from them, from the address (``user:password@``), or the environment."""
    for name, value in given.items():
        if names_secret(name):
            keep_secret(value)
    if _KEY_HEADERS & {name.lower() for name in given}:
        return dict(given)
    if (user := login(url)) is not None:
        basic = keep_secret(b64encode(":".join(user).encode()).decode())
        return {"Authorization": f"Basic {basic}", **given}
    key = next((os.environ[name].strip() for name in _ENVIRONMENT if os.environ.get(name, "").strip()), None)
    return {"Authorization": f"Bearer {keep_secret(key)}", **given} if key else dict(given)


def with_key(headers: Mapping[str, str], key: str | None) -> dict[str, str]:
    """The headers, with the key in the form that most servers take."""
    return {**({"Authorization": f"Bearer {keep_secret(key)}"} if key else {}), **headers}


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for an address (``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY``)."""
    scheme, host, port = origin(url)
    if proxy_bypass(f"{host}:{port}"):
        return None
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if proxy is None:
        return None
    named = proxy if "://" in proxy else f"http://{proxy}"
    login(named)  # its password is a secret too
    return named


class Transport:
    """Connections to any number of servers, without a limit of its own; to be used in one event loop.

    ``headers`` are sent with each request. The key and other secrets among them go only to the origin to which a
    request is addressed: a redirect elsewhere is followed without them.
    """

    def __init__(self, connect_timeout: float, headers: Mapping[str, str] | None = None) -> None:
        self._given = dict(headers or {})
        self._connect = connect_timeout
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None
        self._headers: dict[str, dict[str, str]] = {}
        self._redirects: set[tuple[str, str]] = set()
        self._answering: set[Origin] = set()
        self._proxies: dict[Origin, str | None] = {}

    async def begin(self, url: str, body: Any = None) -> aiohttp.ClientResponse:
        """The beginning of the answer to ``body``, or to a request without one; the caller must close it.

        Raises BackendError, retryable, if no server answers.
        """
        if url not in self._headers:
            self._headers[url] = key_headers(url, self._given)
        headers, here = self._headers[url], without_login(url)
        try:
            for _ in range(_MOST_REDIRECTS):
                response = await self._sent(here, body, headers)
                target = _target(response)
                if target is None:
                    return response
                response.close()
                headers = self._allowed(headers, here, target)
                here, body = target, None if response.status == 303 else body
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _failure(here, error) from error
        raise BackendError(f"{shown(url)} redirects more than {_MOST_REDIRECTS} times")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _allowed(self, headers: dict[str, str], here: str, target: str) -> dict[str, str]:
        """The headers that may follow a redirect."""
        if origin(here) == origin(target):
            return headers
        kept = {name: value for name, value in headers.items() if not names_secret(name)}
        if (here, target) not in self._redirects:
            self._redirects.add((here, target))
            without = ", without the key, which is for the first only" if len(kept) < len(headers) else ""
            _log.warning("%s redirects its requests to %s: they go there%s", shown(here), shown(target), without)
        return kept

    async def _sent(self, url: str, body: Any, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        """Send a request, and once more if the server closes an idle connection at the very moment it is reused.

        That is not a failure of the server: it had answered the previous request, and nothing of this one.
        """
        place = origin(url)
        try:
            response = await self._request(url, body, headers)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if isinstance(error, aiohttp.ClientConnectorError) or place not in self._answering:
                raise
            self._answering.discard(place)
            _log.info("%s closed the connection before it answered (%s): sent again", shown(url), masked(str(error)))
            response = await self._request(url, body, headers)
        self._answering.add(place)
        return response

    async def _request(self, url: str, body: Any, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = self._opened()
        if url.startswith("https:") and self._tls is None:
            self._tls = ssl.create_default_context()
        kind = "GET" if body is None else "POST"
        place = origin(url)
        if place not in self._proxies:
            self._proxies[place] = proxy_for(url)
        given: dict[str, Any] = {"ssl": self._tls} if self._tls is not None else {}
        if (proxy := self._proxies[place]) is not None:
            given["proxy"] = proxy
        return await self._session.request(
            kind,
            url,
            json=body,
            headers=headers,
            allow_redirects=False,
            **given,
        )

    def _opened(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect),
            cookie_jar=aiohttp.DummyCookieJar(),
        )


async def whole(response: aiohttp.ClientResponse, url: str) -> bytes:
    """The body of an unstreamed answer, unpacked; raises BackendError for one that would fill the memory."""
    data = bytearray()
    while more := await response.content.readany():
        data += more
        if len(data) > MOST_BYTES:
            raise BackendError(f"{shown(url)} sent an answer of more than {MOST_BYTES >> 20} MiB")
    return bytes(data)


async def whole_text(response: aiohttp.ClientResponse, url: str, limit: float = 30.0) -> str:
    """The body of a refusal, as text; empty if it does not arrive."""
    try:
        async with asyncio.timeout(limit):
            data = b""
            while len(data) < _LONGEST_REFUSAL and (more := await response.content.readany()):
                data += more
            return data.decode(errors="replace")
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        _log.debug("%s did not say why it refused: %s", shown(url), error)
        return ""


def _target(response: aiohttp.ClientResponse) -> str | None:
    """Where the answer redirects the request; None if it does not."""
    location = response.headers.get("Location")
    if response.status not in (301, 302, 303, 307, 308) or not location:
        return None
    return without_login(urljoin(str(response.url), location))


def _failure(url: str, error: Exception) -> BackendError:
    if isinstance(error, ssl.SSLError | aiohttp.ClientSSLError):
        return BackendError(
            masked(
                f"the certificate of {shown(url)} is not trusted ({error}): name the authority that signed it in the "
                "environment variable SSL_CERT_FILE"
            )
        )
    return (unreachable if isinstance(error, aiohttp.ClientConnectorError) else broken)(url, error)
