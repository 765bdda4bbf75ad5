"""JSON from outside, read as plain values: well-formed Unicode, and numbers that are numbers."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

_LONE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_HUGE_NUMBER = re.compile(r"[eE]\+?0*[1-9]\d\d|\d{309}")
_MANY_DIGITS = 309
_LONG_NUMBER = re.compile(r"\d{309}")


def parse(text: str | bytes, *, finite: bool = True) -> Any:
    """The value that ``text`` (UTF-8) spells, without lone surrogates. Invalid JSON raises a brief ValueError.

    Integers too large for a float are refused, and with ``finite`` also NaN, infinities and other numbers that are too
    large: they are not JSON either, although Python reads and writes them.
    """
    spelled = text if isinstance(text, str) else text.decode("utf-8")
    hooks: dict[str, Any] = {"parse_constant": _refuse} if finite else {}
    if _HUGE_NUMBER.search(spelled) if finite else _has_long_number(spelled):
        hooks |= {"parse_int": _number_of_int} | ({"parse_float": _finite_float} if finite else {})
    try:
        value = json.loads(spelled, **hooks)
        return well_formed_values(value) if _ESCAPED_SURROGATE.search(spelled) else value
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def check_readable(spelled: str) -> None:
    """Raise ValueError if ``parse`` would refuse the numbers in JSON that we wrote ourselves."""
    if _HUGE_NUMBER.search(spelled):
        parse(spelled, finite=False)


def well_formed(text: str) -> str:
    """``text`` with each lone surrogate (half a character, which can be neither stored nor sent) replaced by U+FFFD.

    Programs print them, servers send them as ``\\ud800``, and the command line makes them from bytes that are not
    UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return _LONE.sub("\ufffd", text)
    return text


def well_formed_values(value: Any) -> Any:
    """A JSON value with every text in it well formed."""
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, list):
        return [well_formed_values(item) for item in value]
    if isinstance(value, dict):
        return {well_formed(key): well_formed_values(item) for key, item in value.items()}
    return value


def _has_long_number(text: str) -> bool:
    """Whether about 309 digits follow one another. It is enough to look at every 309th character."""
    return any(
        text[i].isdigit() and _LONG_NUMBER.search(text, max(i - _MANY_DIGITS, 0), i + _MANY_DIGITS)
        for i in range(_MANY_DIGITS - 1, len(text), _MANY_DIGITS)
    )


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _number_of_int(spelled: str) -> int:
    # Longer ones are too large, too, and Python refuses to read very long ones.
    if len(spelled) > _MANY_DIGITS + 1 or abs(number := int(spelled)) >= 2**1023:
        raise ValueError(f"the number {spelled[:20]}... is too large")
    return number


def _finite_float(spelled: str) -> float:
    number = float(spelled)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"the number {spelled[:20]} is too large")
    return number
