"""What servers say about their limits: when to ask again, in their many spellings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from time import time

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_IN_WORDS = re.compile(
    r"(?:try again|retry|wait)\D{0,20}?((?:\d+(?:\.\d+)?(?:ms|[smhd])\s?)+|\d+(?:\.\d+)?\s?seconds?)", re.I
)
_RESET = re.compile(r"ratelimit.*-reset|^ratelimit-reset")

_EPOCH, _EPOCH_MS = 1e9, 1e12
"""From these values on, a number is a point in time (seconds or milliseconds since 1970), not a duration."""


def told_wait(headers: Mapping[str, str], body: str = "") -> float | None:
    """Seconds until a server that refused a request wants the next one; None if it does not say.

    From ``Retry-After`` (seconds or a date), ``retry-after-ms``, the exhausted ones of the ``x-ratelimit-*`` headers,
    or the words of the refusal.
    """
    given = {name.lower(): value for name, value in headers.items()}
    if (millis := _number(given.get("retry-after-ms"))) is not None:
        return millis / 1000
    if (wait := duration(given.get("retry-after", ""))) is not None:
        return wait
    if (wait := used_up(given)) is not None:
        return wait
    resets = [duration(value) for name, value in given.items() if _RESET.search(name)]
    known = [wait for wait in resets if wait is not None]
    return min(known) if known else _in_words(body)


def used_up(headers: Mapping[str, str]) -> float | None:
    """Seconds until an exhausted limit of the server is reset; None if no limit is exhausted."""
    given = {name.lower(): value for name, value in headers.items()}
    waits = [_reset_beside(given, name) for name, value in given.items() if _is_remaining(name) and _number(value) == 0]
    return max((wait for wait in waits if wait is not None), default=None)


def remaining(headers: Mapping[str, str]) -> int | None:
    """How many more requests the server takes before its limit is reset, if it says so."""
    left = [
        number
        for name, value in headers.items()
        if _is_remaining(name.lower()) and "token" not in name.lower() and (number := _number(value)) is not None
    ]
    return int(min(left)) if left else None


def duration(text: str) -> float | None:
    """Seconds from now in ``12``, ``1m30.5s``, ``20ms``, a date, or seconds or milliseconds since 1970."""
    text = text.strip()
    number = _number(text)
    if number is not None:
        at = number / 1000 if number >= _EPOCH_MS else number
        return max(at - time(), 0.0) if at >= _EPOCH else max(number, 0.0)
    parts = _PART.findall(text)
    if parts and _PART.sub("", text).strip() == "":
        return sum(float(amount) * _SECONDS[unit.lower()] for amount, unit in parts)
    return _until(text)


def _until(text: str) -> float | None:
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            return max(read(text).timestamp() - time(), 0.0)
        except (ValueError, TypeError, OverflowError):
            continue
    return None


def _is_remaining(name: str) -> bool:
    return "ratelimit" in name and "remaining" in name


def _reset_beside(given: Mapping[str, str], name: str) -> float | None:
    return duration(given.get(name.replace("remaining", "reset"), ""))


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if abs(number) < 1e15 else None


def _in_words(body: str) -> float | None:
    """``retryDelay`` of Google's errors, and "try again in 7.66s"."""
    found = re.search(r'"retryDelay"\s*:\s*"([\d.]+s)"', body[:10_000]) or _IN_WORDS.search(body[:10_000])
    return duration(re.sub(r"\s?seconds?", "s", found[1]).replace(" ", "")) if found else None
