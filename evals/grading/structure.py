"""The shape of an answer: a list, a tuple, an interval, a set or a time of day, taken apart at its top level."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from widthwise.evals.grading.normalisation import MAX_CHARS, normalise, plain_text

MAX_ITEMS = 100
"""Longer collections are compared as plain strings."""

_TOKEN = re.compile(r"\\[{}]|\\[a-zA-Z]+\s?\{?|\\.|[()\[\]{},;]|\b(?:and|or)\b|[^\\()\[\]{},;]", re.DOTALL)
_OPENING = {"(": ")", "[": "]", "{": "}", "\\{": "\\}"}
_CLOSING = frozenset((")", "]", "}", "\\}"))
_SIZING = re.compile(r"\\(?:left|right|[bB]igg?[lrm]?)(?![a-zA-Z])|\\q?quad|\\[,;:! ]|\$")
_PLUS_MINUS = re.compile(r"\\pm(?![a-zA-Z])|±")
_NAMES = re.compile(r"\(?[A-Za-z]\w?(?:\([A-Za-z]\))?(?:,\s*[A-Za-z]\w?)*\)?\s*(?:=|\\in(?![a-zA-Z]))\s*(?=[(\[\\])")
_TIME_CHARS = 40
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?\s*(?:([ap])\.?\s?m\.?)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Collection:
    """``brackets`` around ``items``: ``()`` a tuple or an open interval, ``{}`` a set, empty for a bare list ..."""

    brackets: str
    items: tuple[str, ...]

    @property
    def ordered(self) -> bool:
        """A tuple and an interval have an order; a set and a list of solutions do not."""
        return self.brackets not in ("", "{}")


def read_collection(answer: str) -> Collection | None:
    """The collection that ``answer`` is; None for a single thing."""
    return _collection(answer) if len(answer) <= MAX_CHARS else None


@lru_cache(maxsize=20_000)
def _collection(answer: str) -> Collection | None:
    text = _SIZING.sub(" ", answer.replace("\\text{and}", " and ")).strip(" .")
    text = re.sub(r"\\(?:text|mbox|textrm|mathrm)\s*\{\s*(and|or)\s*\}", r" \1 ", text)
    if name := _NAMES.match(text):
        text = text[name.end() :]
    items = _items(text)
    if len(items) > 1:
        return Collection("", items) if len(items) <= MAX_ITEMS else None
    return _bracketed(text)


def _bracketed(text: str) -> Collection | None:
    text = text.strip()
    for opening in ("\\{", "(", "[", "{"):
        if not text.startswith(opening):
            continue
        closing = next((c for c in ("\\}", ")", "]", "}") if text.endswith(c)), None)
        if closing is None or not _encloses(text):
            return None
        items = _items(text[len(opening) : -len(closing)])
        if opening in "([" and closing in ")]":
            return Collection(opening + closing, items) if 1 < len(items) <= MAX_ITEMS else None
        return Collection("{}", items) if len(items) <= MAX_ITEMS else None
    return None


def _encloses(text: str) -> bool:
    """Whether the first bracket of ``text`` is closed by its last character only."""
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += _step(token[0])
        if depth == 0 and token.end() < len(text):
            return False
    return depth == 0


def _items(text: str) -> tuple[str, ...]:
    """The parts of ``text`` between top-level commas, semicolons and "and"; a ``\\pm`` counts as both signs."""
    parts: list[str] = [""]
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += _step(token[0])
        if depth == 0 and token[0] in (",", ";", "and", "or"):
            parts.append("")
        else:
            parts[-1] += token[0]
    return tuple(signed for part in parts if part.strip() for signed in _both_signs(part.strip()))


def _step(token: str) -> int:
    if token in _OPENING or (len(token) > 2 and token.endswith("{")):
        return 1
    return -1 if token in _CLOSING else 0


def _both_signs(text: str) -> tuple[str, ...]:
    if len(_PLUS_MINUS.findall(text)) != 1:
        return (text,)
    return _PLUS_MINUS.sub("+", text), _PLUS_MINUS.sub("-", text)


def read_time(answer: str) -> tuple[int, int, str] | None:
    """(minutes since midnight or noon, seconds, ``a``, ``p`` or empty) of a time of day."""
    if len(answer) > _TIME_CHARS or ":" not in answer:
        return None
    match = _TIME.fullmatch(plain_text(answer).strip(" .$"))
    if match is None:
        return None
    hours, minutes, seconds = (int(group or 0) for group in match.groups()[:3])
    half = (match[4] or "").lower()
    if hours > 23 or minutes > 59 or seconds > 59:
        return None
    if hours > 12 or (half == "p" and hours == 12):
        hours, half = hours - 12 * (hours >= 12), "p"
    return (hours % 12 if half else hours) * 60 + minutes, seconds, half


def same_time(a: tuple[int, int, str], b: tuple[int, int, str]) -> bool:
    """Equal, where a time that does not say which half of the day it means may mean either."""
    return a[:2] == b[:2] and (a[2] == b[2] or not a[2] or not b[2])


def is_words(answer: str) -> bool:
    """Whether the answer is words rather than mathematics: a name, "yes", a choice."""
    text = normalise(answer)
    return len(text) > 1 and all(c.isalpha() or c in " '-" for c in text) and text.count("-") < len(text)
