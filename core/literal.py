"""Text that is data: it may spell a model's control tokens, but must not become them."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

GUARD = "\ufdd0"
"""Put inside text that only spells a control token; a noncharacter, which no text should contain."""
_NOTHING = r"(?!)"


class Tags(str):
    """Text in which spelled-out control tokens are meant: the tags and marks that a model family itself writes."""

    __slots__ = ()


def literal(text: str, controls: Collection[str]) -> str:
    """``text`` with a guard inside everything that spells one of ``controls``; ``Tokenizer.encode`` removes the guards.

    A draft, a problem or an excerpt that is put into a prompt comes from outside. The model must read what it spells as
    text.
    """
    return _spelled(tuple(sorted(controls))).sub(lambda found: found[0][0] + GUARD + found[0][1:], text)


def unguarded(text: str, controls: Collection[str]) -> list[str]:
    """``text`` cut at the guards that ``literal`` inserted. Encoded separately, the pieces spell no control token."""
    if GUARD not in text:
        return [text]
    return _guarded(tuple(sorted(controls))).split(text)


@lru_cache(maxsize=64)
def _spelled(controls: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted((c for c in controls if len(c) > 1), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or _NOTHING)


@lru_cache(maxsize=64)
def _guarded(controls: tuple[str, ...]) -> re.Pattern[str]:
    inside = [f"(?<={re.escape(c[0])}){GUARD}(?={re.escape(c[1:])})" for c in controls if len(c) > 1]
    return re.compile("|".join(inside) or _NOTHING)
