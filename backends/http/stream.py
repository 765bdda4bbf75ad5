"""What a server sends as the answer to one completion: events as they come, or a single piece."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import aiohttp

from widthwise.backends.http.address import shown
from widthwise.backends.http.statuses import broken, reported_error, status_error
from widthwise.backends.http.transport import MOST_BYTES, whole_text
from widthwise.core.errors import AccessRefused, BackendError, PromptTooLong
from widthwise.core.plain_json import parse
from widthwise.core.secrets import holds_secret, masked

_log = logging.getLogger(__name__)

Event = dict[str, Any]

DONE = b"[DONE]"
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Batch:
    """The events that arrived together; ``done``: the server has said that these were the last."""

    events: list[Event]
    done: bool = False


class EndedInError(BackendError):
    """A server reports an error inside its answer: what it had said before is void."""


async def batches(response: aiohttp.ClientResponse, *, first: float, stall: float) -> AsyncIterator[Batch]:
    """The events of a stream until its ``[DONE]`` or its end; an unstreamed answer is one event.

    ``first`` and ``stall`` are limits in seconds for the first and for each later piece of data. A half event at the
    end of a broken stream is dropped. Raises BackendError (retryable) for a stall, a broken connection and invalid
    JSON, and EndedInError for an error reported inside the stream, after the events before it.
    """
    url, reader, limit = str(response.url), _Events(), first
    while data := await _read(response, url, limit):
        limit = stall
        if payloads := reader.feed(data):
            for batch in _parsed(url, payloads):
                yield batch
                if batch.done:
                    return
    for batch in _parsed(url, reader.rest()):
        yield batch


async def events(response: aiohttp.ClientResponse, *, first: float, stall: float) -> AsyncIterator[Event]:
    """The same, one by one."""
    async with aclosing(batches(response, first=first, stall=stall)) as arriving:  # type: ignore[type-var]
        async for batch in arriving:
            for event in batch.events:
                yield event


async def checked(response: aiohttp.ClientResponse) -> None:
    """Raise what a status other than 200 means."""
    if response.status != 200:
        url = str(response.url)
        raise status_error(url, response.status, await whole_text(response, url), response.headers)


async def drained(response: aiohttp.ClientResponse) -> None:
    """Let the finished response end by itself, so that its connection can serve another request."""
    if response.content.at_eof():
        return
    try:
        async with asyncio.timeout(0.2):
            await response.content.read()
    except (TimeoutError, aiohttp.ClientError):
        _log.debug("%s did not end its answer; the connection is closed", shown(str(response.url)))
        response.close()


class _Events:
    """Cuts bytes into the payloads of events, whatever ends their lines and wherever the bytes were cut.

    An error event's payload is turned into an object with the single field ``error``.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._after_cr = False
        self._begun = self._in_one_piece = False

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads of the events that are complete by now."""
        self._buffer += self._with_plain_ends(data)
        if not self._begun and not self._begin():
            return []
        if len(self._buffer) > MOST_BYTES:
            raise BackendError(f"a server sent an event of more than {MOST_BYTES >> 20} MiB")
        if self._in_one_piece:
            return []
        whole, blank, rest = self._buffer.rpartition(b"\n\n")
        if blank:
            self._buffer = rest
            if _is_regular(whole):
                return whole[6:].split(b"\n\ndata: ")
            return [payload for block in whole.split(b"\n\n") for payload in _payloads(block)]
        return self._of_lines() if self._buffer.count(b"\ndata:") else []

    def rest(self) -> list[bytes]:
        """What is left when no more bytes come: an event without its blank line, or an unstreamed answer."""
        left, self._buffer = self._buffer.strip(), b""
        if self._in_one_piece:
            return [left] if _is_json(left) else left.split(b"\n")
        return [payload for payload in _payloads(left) if payload == DONE or _is_json(payload)]

    def _with_plain_ends(self, data: bytes) -> bytes:
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        self._after_cr = data.endswith(b"\r") or (self._after_cr and not data)
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data

    def _begin(self) -> bool:
        """Whether enough has arrived to tell what this is."""
        self._buffer = self._buffer.lstrip() if not self._buffer.startswith(_BOM[:1]) else self._buffer
        if len(self._buffer) < len(_BOM) and _BOM.startswith(self._buffer):
            return False
        self._buffer = self._buffer.removeprefix(_BOM).lstrip()
        self._begun = bool(self._buffer)
        self._in_one_piece = self._buffer.startswith((b"{", b"[", b"<"))
        return self._begun

    def _of_lines(self) -> list[bytes]:
        """Events not separated by blank lines: each line is one if it is JSON by itself."""
        *lines, last = self._buffer.split(b"\n")
        payloads = [line.removeprefix(b"data:").strip() for line in lines if line.startswith(b"data:")]
        if not all(payload == DONE or _is_json(payload) for payload in payloads):
            return []
        self._buffer = last
        return payloads


def _is_regular(events: bytes) -> bool:
    """Whether each event is one line that begins with ``data: ``, as from most servers."""
    blanks = events.count(b"\n\ndata: ")
    return events.startswith(b"data: ") and events.count(b"\n") == 2 * blanks


def _payloads(block: bytes) -> list[bytes]:
    """The data of the lines between two blank ones: one event, or several if each line is one."""
    if block.startswith(b"data:") and b"\n" not in block:
        return [block[5:].strip()]
    lines = block.split(b"\n")
    datas = [line.removeprefix(b"data:").removeprefix(b" ") for line in lines if line.startswith(b"data:")]
    if b"error" in (line.removeprefix(b"event:").strip() for line in lines if line.startswith(b"event:")):
        return [b'{"error":' + (b"\n".join(datas) if _is_json(b"\n".join(datas)) else b'"an error event"') + b"}"]
    if len(datas) < 2 or _is_json(b"\n".join(datas)):
        return [payload for payload in [b"\n".join(datas).strip()] if payload]
    return [data.strip() for data in datas if data.strip()]


def _parsed(url: str, payloads: list[bytes]) -> Iterator[Batch]:
    """The payloads as events, in as few batches as possible; raises at the first that is an error or not an event."""
    done = DONE in payloads
    if done:
        payloads = payloads[: payloads.index(DONE)]
    events, failure = _objects(url, payloads)  # as many as payloads, up to the failure
    for number, event in enumerate(events):
        if not isinstance(event, dict):
            _log.debug("%s sent %r instead of an event", shown(url), event)
        elif ("error" in event or "choices" not in event) and (
            error := reported_error(url, event, payloads[number].decode(errors="replace"))
        ):
            failure, events = _ended(error), events[:number]
            break
    events = [event for event in events if isinstance(event, dict)]
    if events or (done and failure is None):
        yield Batch(events, done=done and failure is None)
    if failure is not None:
        raise failure


def _ended(error: BackendError) -> BackendError:
    """An error inside an answer, of its kind; it may be retried only if nothing had been said before."""
    if isinstance(error, AccessRefused | PromptTooLong):
        return error
    return EndedInError(str(error), retryable=error.retryable)


def _objects(url: str, payloads: list[bytes]) -> tuple[list[Event], BackendError | None]:
    """The objects up to the first payload that is not one, and the error that this payload is."""
    joined = b"[" + b",".join(payloads) + b"]"
    try:
        events = parse(joined, finite=False)
        if len(events) != len(payloads):
            raise ValueError("some payload is not a complete value")
    except ValueError:
        events = list(_until_broken(payloads))
    if holds_secret(joined):
        events = [_clean(event) for event in events]
    if len(events) == len(payloads):
        return events, None
    return events, BackendError(f"{shown(url)} sent an event that is not JSON", retryable=True)


def _until_broken(payloads: list[bytes]) -> Iterator[Any]:
    for payload in payloads:
        try:
            yield parse(payload, finite=False)
        except ValueError:
            return


def _clean(value: Any) -> Any:
    """A JSON value without the keys that a server echoes."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return {key: _clean(item) for key, item in value.items()} if isinstance(value, dict) else value


def _is_json(payload: bytes) -> bool:
    try:
        parse(payload, finite=False)
    except ValueError:
        return False
    return True


async def _read(response: aiohttp.ClientResponse, url: str, limit: float) -> bytes:
    try:
        async with asyncio.timeout(limit):
            return await response.content.readany()
    except TimeoutError as error:
        raise BackendError(f"{shown(url)} sent nothing for {limit:g} seconds", retryable=True) from error
    except (aiohttp.ClientError, OSError) as error:
        raise broken(url, error) from error
