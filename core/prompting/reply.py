"""What a model's reply to a planning question lists: candidate numbers, or outlines."""

from __future__ import annotations

import re

_LONGEST = 20_000
"""How many characters of a reply are read, counted from its end."""
_OUTLINE_CHARS = 2_000
_LIST = re.compile(r"\[([\d,\s]{1,1000})\]")
_NUMBER = re.compile(r"\d{1,6}")
_TAGGED = re.compile(r"<outline>\s*(?:\d{1,3}\s*[:.)])?(.*?)</outline>", re.IGNORECASE | re.DOTALL)
_NUMBERED = re.compile(r"^[ \t*#]{0,8}\d{1,3}\s?[:.)][ \t*]*(\S.*)$", re.MULTILINE)


def numbers(text: str, count: int) -> list[int]:
    """The distinct numbers from 1 to ``count`` in the last list such as ``[2, 1]``, in its order; empty if none."""
    lists = _LIST.findall(text[-_LONGEST:])
    named = map(int, _NUMBER.findall(lists[-1])) if lists else ()
    return [number for number in dict.fromkeys(named) if 1 <= number <= count]


def outlines(text: str, most: int) -> list[str]:
    """Up to ``most`` distinct outlines: those between ``<Outline>`` tags, else the lines numbered ``1.``, ``2.``"""
    read = text[-_LONGEST:]
    found = _TAGGED.findall(read) or _NUMBERED.findall(read)
    said = (outline.strip(" \t\r\n*")[:_OUTLINE_CHARS] for outline in found)
    return [outline for outline in dict.fromkeys(said) if outline][:most]
