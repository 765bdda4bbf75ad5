"""Reading boxed answers: ``\\boxed{42}``, nested boxes, and neighbouring boxes that form one answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from itertools import pairwise, takewhile
from typing import NamedTuple

from widthwise.evals.grading.statement import MAX_ANSWER_CHARS, MAX_STATEMENTS, Reader, Statement

_COMMAND = r"\\{1,4}(?:boxed|fbox|framebox)"
_TOKEN = re.compile(rf"{_COMMAND}\s{{0,8}}\{{|\\.|[{{}}]", re.DOTALL)
_BARE = re.compile(rf"{_COMMAND}[ \t]{{0,8}}([-+]?\d[^\s{{}}$\\]{{0,40}}|(?<=[ \t])[A-Z]\b)")
_MAX_BOXES = 4 * MAX_STATEMENTS

_BETWEEN_CHARS = 60
_NAME = r"\\?[A-Za-z]{1,12}(?:_(?:\w|\{[^{}]{1,12}\}))?'?(?:\([^()]{1,12}\))?"
_NAMED = re.compile(rf"(?<![\w\\])({_NAME})\s*=\s*[$\s]*$")
_LAYOUT = re.compile(
    r"\\(?:text|mbox|textrm|mathrm)\s?\{|\\q?quad(?![a-z])|\\[,;:! ()\[\]\\]|[}$&]|\*\*|(?<=\s)\.|\.(?=\s)"
)
_NAME_AT_END = re.compile(rf"{_NAME}\s*=\s*$")
_MARK = re.compile(r"[,;]")
_SEPARATORS = frozenset((",", ";", "and", "or"))
_DENIED = re.compile(
    r"(?i)(?:(?:\b(?:not|cannot|never)|n['’]t)(?:\s+be)?(?:\s+equal(?:\s+to)?)?|\b(?:rather\s+than|instead\s+of)"
    r"|(?:^|[.!?\n])\s*(?:wrong|incorrect|invalid|impossible)\s*:)(?:\s|\$|\*|\\[(\[,;: ])*$"
)
_REJECTED = re.compile(
    r"(?i)(?:\\[)\],;: ]|[}$*\s])*\s(?:(?:is|was)(?:\s+not|n['’]t)\s+(?:possible|correct|right|valid|the\s+answer)"
    r"|(?:(?:is|was)\s+(?:clearly\s+|also\s+)?)?(?:impossible|wrong|incorrect|invalid|extraneous|rejected|fails)\b)"
)
"""What precedes and follows a box that is said not to be the answer."""
_CORRECTIONS = (
    "no not nope wait actually rather instead sorry oops hmm but then so should becomes become is was are were be wrong"
    " incorrect right fails equals gives yields means hence thus therefore correction i to into"
)
_CORRECTING = frozenset(_CORRECTIONS.split())


class Box(NamedTuple):
    """Where a box begins, where its content begins, and where its closing brace is."""

    start: int
    inside: int
    end: int


def boxes(text: str, lists: bool = False) -> Iterator[Statement]:
    """The contents of the balanced ``\\boxed{}`` and ``\\fbox{}``, last first; if there are none, a bare ``\\boxed 5``.

    Boxes with only an equals sign between them are one equation. With ``lists``, boxes with only "and", "or" or
    punctuation between them are one comma-separated list, in which a repeated answer occurs once.
    """
    outer = _outermost(text)
    for group in reversed(_grouped(text, outer, lists)):
        if not _taken_back(text, group):
            yield Statement("box", group[0].start, _joined(text, group), end=group[-1].end)
    if not outer:
        yield from (Statement("box", m.start(), m[1]) for m in reversed(list(_BARE.finditer(text))[-MAX_STATEMENTS:]))


def _taken_back(text: str, group: list[Box]) -> bool:
    before, after = group[0].start, group[-1].end + 1
    denied = _DENIED.search(text, max(0, before - _BETWEEN_CHARS), before)
    return bool(denied or _REJECTED.match(text, after, after + _BETWEEN_CHARS))


listed_boxes: Reader = partial(boxes, lists=True)


def _outermost(text: str) -> list[Box]:
    """The last boxes that contain no more than an answer and are in no other such box, in order."""
    found: list[Box] = []
    for box in reversed(_balanced(text)):
        if box.end - box.inside <= MAX_ANSWER_CHARS and (not found or box.end < found[-1].start):
            found.append(box)
            if len(found) == _MAX_BOXES:
                break
    return found[::-1]


def _balanced(text: str) -> list[Box]:
    """Every balanced box, by closing position, in one pass."""
    start = min((p for p in (text.find("\\boxed"), text.find("\\f")) if p >= 0), default=len(text))
    open_braces: list[tuple[int, int] | None] = []
    found = []
    for token in _TOKEN.finditer(text, max(0, start - 3)):
        if token[0].endswith("{") and token[0] != "\\{":
            open_braces.append((token.start(), token.end()) if len(token[0]) > 1 else None)
        elif token[0] == "}" and open_braces and (box := open_braces.pop()):
            found.append(Box(*box, token.start()))
    return found


def _grouped(text: str, found: list[Box], lists: bool) -> list[list[Box]]:
    groups = [[box] for box in found[:1]]
    for one, other in pairwise(found):
        between = text[one.end + 1 : other.start]
        if _equated(between) or (lists and _connection(between)):
            groups[-1].append(other)
        else:
            groups.append([other])
    return groups


def _joined(text: str, group: list[Box]) -> str:
    contents = [_unboxed(text[box.inside : box.end]).strip() for box in group]
    if len(group) > 1 and _equated(text[group[0].end + 1 : group[1].start]):
        return " = ".join(contents)
    names = [_NAMED.search(text[max(0, box.start - _BETWEEN_CHARS) : box.start]) for box in group]
    if len(group) > 1 and all(names):
        contents = [f"{name[1]} = {content}" for name, content in zip(names, contents, strict=True) if name]
    return ", ".join(dict.fromkeys(contents))


def _unboxed(content: str) -> str:
    """``content`` without the commands of the boxes in it."""
    inner = _balanced(content)
    cuts = sorted([(box.start, box.inside) for box in inner] + [(box.end, box.end + 1) for box in inner])
    kept, place = "", 0
    for start, end in cuts:
        kept += content[place:start]
        place = end
    return kept + content[place:]


def _equated(between: str) -> bool:
    return len(between) <= _BETWEEN_CHARS and between.strip(" \t\n$") == "="


def _connection(between: str) -> bool:
    """Whether the text between two boxes makes them one list; "no wait," does not."""
    if len(between) > _BETWEEN_CHARS:
        return False
    words = _MARK.sub(r" \g<0> ", _NAME_AT_END.sub("", _LAYOUT.sub(" ", between))).split()
    nouns = list(takewhile(lambda word: word not in _SEPARATORS, words))
    rest = words[len(nouns) :]
    if not _SEPARATORS.issuperset(rest):
        return False
    return not nouns or (len(nouns) <= 2 and bool(rest) and all(map(_noun, nouns)))


def _noun(word: str) -> bool:
    return word.isalpha() and word.islower() and word not in _CORRECTING
