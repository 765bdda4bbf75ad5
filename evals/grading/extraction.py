"""Reading the final answer out of a text: where the text states it, and never a guess.

A policy is an ordered choice of readers. Each reader yields the answers of one kind that a text states, the last one
first; the first acceptable answer of the first reader that has one is the answer. Every reader is one linear pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from widthwise.evals.grading.normalisation import normalise

Reader = Callable[[str], Iterator[str]]

THINKING_END = "</think>"
MAX_ANSWER_CHARS = 2_000
"""A longer statement is not an answer."""
MAX_STATEMENTS = 64
"""Only so many of the last statements of one kind are looked at."""

_BOX_TOKEN = re.compile(r"\\+(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
_BARE_BOX = re.compile(r"\\(?:boxed|fbox)[ \t]+([^\s{}$\\]{1,40})")
_BOX_CONNECTOR = re.compile(
    r"(?:[ \t]+[a-z]{1,12}){0,2}[\s.]*"
    r"(?:[\s$,;&.]|\\[,;:! ()\[\]\\]|\\q?quad|\\(?:text|mbox|textrm|mathrm)\s*\{|\}|and|or|\*\*)*"
    r"(?:[A-Za-z](?:_\{?\w\}?)?\s*=\s*)?"
)
_CONNECTOR_CHARS = 60
_LINE_CHARS = 100
_ANSWER_LINE = re.compile(
    r"(?im)^[^\S\n]{0,8}[>#*_-]{0,4}[^\S\n]{0,4}(?:final[ \t]{1,9})?answer[*_]{0,2}[ \t]{0,9}[:：=][*_]{0,2}"
)
_SHORT_LINE = re.compile(r"(?m)^[ \t]{0,8}A:")
_LABEL = re.compile(r"(?is)(\\text\w{0,2}\{)?\s*(?:final\s+)?answer\s*[:：=]\s*(.*)")
_HASHES = re.compile(r"####")
_STATEMENT = re.compile(
    r"(?i)\b(?:final|correct|desired|required|the|our)[ \t]{1,9}(?:final[ \t]{1,9})?answer[ \t]{1,9}is\b"
    r"(?:[ \t]{0,9}[:：])?\s{0,9}"
)
_SENTENCE_END = re.compile(r"[.!?。](?=\s|$)")
_MATH_AT_START = re.compile(r"\s*(?:\$\$?([^$]+)\$\$?|\\\((.+?)\\\)|\\\[(.+?)\\\])")


@dataclass(frozen=True, slots=True)
class Policy:
    """Which statements count as an answer, in order of trust.

    ``lists``: neighbouring boxes at the end ("\\boxed{1} and \\boxed{2}") are one answer, the list of both.
    ``accept``: an answer that fails it is passed over (an AIME answer is an integer).
    """

    readers: tuple[Reader, ...]
    lists: bool = False
    accept: Callable[[str], bool] = bool


def extract(text: str, policy: Policy) -> str | None:
    """The final answer that ``text`` states, stripped; None where it states none.

    What follows the thinking part goes first; the thinking part counts where nothing follows it.
    """
    thinking, mark, conclusion = text.rpartition(THINKING_END)
    if mark and (answer := _first(conclusion, policy)) is not None:
        return answer
    return _first(thinking if mark else text, policy)


def _first(text: str, policy: Policy) -> str | None:
    for reader in policy.readers:
        for statement in joined_boxes(text) if policy.lists and reader is boxes else reader(text):
            answer = _unlabelled(statement).strip()
            if answer and len(answer) <= MAX_ANSWER_CHARS and policy.accept(answer):
                return answer
    return None


def _unlabelled(statement: str) -> str:
    """A box may hold the words of an answer line: ``\\boxed{\\text{ANSWER: 42}}``."""
    label = _LABEL.fullmatch(statement)
    if label is None:
        return statement
    return label[2].removesuffix("}") if label[1] else label[2]


# --- Readers ------------------------------------------------------------------------------------------------------


def boxes(text: str) -> Iterator[str]:
    """The contents of the balanced ``\\boxed{}`` and ``\\fbox{}``, last first; without any, of a bare ``\\boxed 5``."""
    spans = _box_spans(text)
    for _, inside, end in reversed(spans):
        yield text[inside:end]
    if not spans:
        yield from (match[1] for match in reversed(list(_BARE_BOX.finditer(text))))


def joined_boxes(text: str) -> Iterator[str]:
    """As ``boxes``, but boxes with nothing but "and" or punctuation between them make one comma-separated list."""
    group: list[str] = []
    following: int | None = None
    for start, inside, end in reversed(_box_spans(text)):
        if following is not None and end > following:
            continue  # holds a box that has been read
        if following is not None and not _connected(text[end + 1 : following]):
            yield ", ".join(reversed(group))
            group = []
        group.append(text[inside:end].strip())
        following = start
    if group:
        yield ", ".join(reversed(group))
    else:
        yield from boxes(text)


def _connected(between: str) -> bool:
    """Whether what stands between two boxes makes them one list."""
    return len(between) <= _CONNECTOR_CHARS and _BOX_CONNECTOR.fullmatch(between) is not None


def answer_lines(text: str) -> Iterator[str]:
    """Lines such as ``ANSWER: 42`` or ``**Final answer:** 42``, last first."""
    return _statements(_ANSWER_LINE, text)


def short_answer_lines(text: str) -> Iterator[str]:
    """Lines ``A: 42``, last first."""
    return _statements(_SHORT_LINE, text)


def hashes(text: str) -> Iterator[str]:
    """GSM8K's ``#### 42``, last first."""
    return _statements(_HASHES, text)


def sentences(text: str) -> Iterator[str]:
    """``The final answer is 42.``, last first."""
    return _statements(_STATEMENT, text)


def only_line(text: str) -> Iterator[str]:
    """The text itself where it is a single short line: an answer without any words."""
    line = text.strip()
    if len(line) <= _LINE_CHARS and "\n" not in line:
        yield line


def _statements(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    for match in reversed(list(pattern.finditer(text))[-MAX_STATEMENTS:]):
        line, _, _ = text[match.end() : match.end() + 2 * MAX_ANSWER_CHARS].partition("\n")
        yield _trimmed(line)


def _trimmed(statement: str) -> str:
    """The formula at the start of a statement, else its first sentence, without emphasis."""
    if inner := next(boxes(statement), None):
        return inner
    if formula := _MATH_AT_START.match(statement):
        rest = statement[formula.end() :].strip(" .*_")
        return next(part for part in formula.groups() if part) + (f" {rest}" if rest.startswith(("%", "\\%")) else "")
    end = _SENTENCE_END.search(statement)
    return statement[: end.start() if end else len(statement)].strip(" \t*_`$")


def _box_spans(text: str) -> list[tuple[int, int, int]]:
    """(start, first character inside, closing brace) of every balanced box, by closing position."""
    start = min((p for p in (text.find("\\boxed"), text.find("\\fbox")) if p >= 0), default=len(text))
    open_braces: list[tuple[int, int] | None] = []
    spans = []
    for token in _BOX_TOKEN.finditer(text, start):
        if token[0].endswith("{") and token[0] != "\\{":
            open_braces.append((token.start(), token.end()) if len(token[0]) > 1 else None)
        elif token[0] == "}" and open_braces and (box := open_braces.pop()):
            spans.append((*box, token.start()))
    return spans


# --- Policies -----------------------------------------------------------------------------------------------------


def _integer(answer: str) -> bool:
    return re.fullmatch(r"[-+]?\d{1,30}(?:\.0+)?", normalise(answer)) is not None


def _expression(answer: str) -> bool:
    return any(character.isdigit() for character in answer)


MATH = Policy((boxes, answer_lines, sentences, hashes), lists=True)
INTEGER = Policy((answer_lines, boxes, sentences, hashes, short_answer_lines), accept=_integer)
WORD_PROBLEM = Policy((hashes, short_answer_lines, answer_lines, boxes, sentences), accept=_expression)
COUNTDOWN = Policy((boxes, answer_lines, sentences, only_line), accept=_expression)
