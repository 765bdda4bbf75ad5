"""What kinds of answers a suite takes: what a statement must say, and which part of it is the answer.

Each function takes a statement, and whether it is prose or the content of a box, and gives the answer in it: None if it
contains none of that kind, and the empty string if it states nothing at all.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from widthwise.evals.grading.lexicon import COUNTS
from widthwise.evals.grading.meaning import meaning
from widthwise.evals.grading.remarks import answer_in, clauses

# --- Choices --------------------------------------------------------------------------------------------------------


class Choice(NamedTuple):
    """An answer by letter, and the text of the option if it was given."""

    letter: str
    text: str


_WRAPPER = re.compile(r"\\(?:text|textbf|textrm|textit|mathrm|mathbf|mbox|bf|rm)\s?\{([^{}]*)\}")
_CHOICE = re.compile(
    r"(?s)\s*(?:(?:option|choice)\s+)?(?:\(([A-J])\)[.:]?|([A-J])(?:[).:]|\s*[—–,-]{1,2}(?=\s+[a-z]{3,}\b)))"
    r"(?:\s|~|\\[,;:! ]|\\quad)*(.*)|\s*([A-J])\s*"
)
_ANOTHER = re.compile(r"(?:\(|\b)[A-J](?:\)|[.:](?:\s|$))|\b[B-H]\b|^(?:and|or|not|is|was|nor|,|\+|-|=)(?:\b|\s|$)")


def read_choice(answer: str) -> Choice | None:
    """The choice that ``answer`` is: ``B``, ``(B)``, ``\\textbf{(B) } 12``; None if it names none or several."""
    plain = _WRAPPER.sub(r"\1", answer).strip(" $")
    match = _CHOICE.fullmatch(plain)
    if match is None:
        return None
    letter, text = match[1] or match[2] or match[4], (match[3] or "").strip(" .")
    return None if _ANOTHER.search(text) else Choice(letter, text)


# --- Formulas -------------------------------------------------------------------------------------------------------


def formula(statement: str, prose: bool) -> str | None:
    """Any answer: the statement without its label and remarks."""
    return answer_in(statement, prose)


def expression(statement: str, prose: bool) -> str | None:
    """An arithmetic expression."""
    answer = answer_in(statement, prose)
    return answer if not answer or any(map(str.isdigit, answer)) else None


# --- Words beside numbers ---------------------------------------------------------------------------------------------

_CHANGING = (
    "not no less more fewer most least than at over under above below between minimum maximum never or and to is isn't"
    " dozen dozens hundred hundreds thousand thousands million millions billion trillion half halves twice double"
    " triple times quarter third thirds quarters pair pairs score if unless except minus plus about approximately"
    " squared cubed factorial x y z n"
)
_NOT_PLAIN = frozenset(_CHANGING.split())
"""Words that change the number beside them."""

# --- Integers -------------------------------------------------------------------------------------------------------

_DEGREES = r"(?:\^\s?\{?\s?(?:\\circ|\\degree|∘)\s?\}?|°|\\degree)?"
_GROUP = r"(?:,|\{,\}|\\,|\\!,|,\\!)"
_INTEGER = re.compile(
    rf"(?:\\?\$)?[-+−]?\s?(?:\d{{1,3}}(?:{_GROUP}\d{{3}}){{1,9}}|\d{{1,30}})(?:\.0+)?\s?{_DEGREES}"
    r"(?P<counted>(?:(?:\s|\\[,;:! ])+[a-z]+){1,3})?"
)
_RELATION = re.compile(r"[<>≤≥≠≡]|\\(?:[lg]e(?:q|qslant)?|[lg]t|ne(?:q)?|equiv|pm|mid|in|pmod|bmod)(?![a-zA-Z])|±")
_SEVERAL = re.compile(r"\b(?:and|or)\b|;|,(?!\d{3}(?!\d))|,(?=\d{3}.*[=])")
_BRACKET = re.compile(r"\\[{}]|[()\[\]{}]|:?=|≈|\\approx(?![a-z])")


_STANDS_FOR_ONE = re.compile(r"[XN]{1,3}")
"""A prompt's own words, repeated: end with "ANSWER: X"."""


def is_integer(answer: str) -> bool:
    """Whether ``answer`` is a whole number, with or without what it counts."""
    match = _INTEGER.fullmatch(_unwrapped(answer))
    return match is not None and _NOT_PLAIN.isdisjoint(re.findall(r"[a-z]+", match["counted"] or ""))


def integer(statement: str, prose: bool) -> str | None:
    """An integer, also as the value of an equation (``m+n = 256+37 = 293``) or the text of a choice."""
    whole = answer_in(statement, prose)
    if not whole or _STANDS_FOR_ONE.fullmatch(whole):
        return ""
    value = _integer_of(whole)
    if value is not None and is_integer(value):
        return value
    concluded = (_integer_of(said) for said in reversed(clauses(statement)[1:]))
    return next((found for found in concluded if found is not None), value) or _spelled_out(whole)


def _integer_of(said: str) -> str | None:
    choice = read_choice(said)
    text = _unwrapped(choice.text if choice else said)
    if is_integer(text) or _comes_to_one(text):
        return text
    if _RELATION.search(text) or _SEVERAL.search(_hidden_in_brackets(text)):
        return None
    sides = [side.strip() for side in _sides(text)]
    found = [side for side in sides if is_integer(side)] or [side for side in sides[-1:] if _comes_to_one(side)]
    agree = len({re.sub(r"\D|\.0+$", "", value) for value in found}) == 1
    return found[-1] if found and agree and len(sides) > 1 else None


_COMMAND = re.compile(r"\\[a-zA-Z]+")
_NO_SUM = re.compile(r"[=%]|[a-zA-Z]{3,}")


def _comes_to_one(text: str) -> bool:
    """Whether ``text`` is an expression whose value is an integer: ``10^3``."""
    if _NO_SUM.search(_COMMAND.sub("", text)):
        return False
    kind, *value = meaning(text).key
    return bool(kind == "fraction" and value[1] == 1)


def _unwrapped(text: str) -> str:
    return _WRAPPER.sub(r"\1", text).strip(" $").rstrip(" $.")


def _sides(text: str) -> list[str]:
    """The sides of an equation or a chain of them: the parts between equals signs outside of brackets."""
    parts, place, depth = [], 0, 0
    for token in _BRACKET.finditer(text):
        if token[0][-1] in "([{":
            depth += 1
        elif token[0][-1] in ")]}":
            depth -= 1
        elif depth == 0:
            parts.append(text[place : token.start()])
            place = token.end()
    return [*parts, text[place:]]


def _hidden_in_brackets(text: str) -> str:
    """``text`` without the content of brackets, where a comma or a word does not separate answers."""
    kept, place, depth = "", 0, 0
    for token in _BRACKET.finditer(text):
        if depth == 0:
            kept += text[place : token.start()]
        place = token.end()
        depth = max(0, depth + (token[0][-1] in "([{") - (token[0][-1] in ")]}"))
    return kept + text[place:]


# --- Quantities of word problems --------------------------------------------------------------------------------------

_AMOUNT = re.compile(
    r"(?<![\w.])[-−]?(?:\d{1,3}(?:(?:,|\{,\})\d{3})+|\d+)?(?:\.\d+|(?<=\d))(?:\s?/\s?\d+)?(?:\s?\\?%)?(?![\w.]*\d)"
)
_MAX_WORDS = 12


def _spelled_out(answer: str) -> str | None:
    """``seven`` and ``\\text{seven}`` are 7."""
    count = COUNTS.get(_unwrapped(answer).lower())
    return None if count is None else str(count)


def quantity(statement: str, prose: bool) -> str | None:
    """A number with whatever it counts: ``72 clips`` and ``$72`` are 72; ``2 dozen`` stays as it is."""
    answer = answer_in(statement, prose)
    if not answer or not any(map(str.isdigit, answer)):
        return _spelled_out(answer) if answer else answer
    value = _sides(answer)[-1] if not _RELATION.search(answer) else answer
    plain = re.sub(r"\\?\$|[€£¥]", "", _WRAPPER.sub(r" \1 ", value))
    amounts = list(_AMOUNT.finditer(plain))
    words = re.findall(r"[a-z']+", plain.lower())
    rest = _AMOUNT.sub("", plain)
    if len(amounts) != 1 or len(words) > _MAX_WORDS or not re.fullmatch(r"[\w\s.,'’/-]*", rest):
        return answer
    return answer if _NOT_PLAIN.intersection(words) or any(map(str.isdigit, rest)) else amounts[0][0].strip()
