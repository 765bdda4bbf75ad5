"""Wrong answers made from right ones by one small change each.

The operators change a digit, a sign, an exponent, an operator, a function or its argument, a name, a bracket or a
relation, or swap two values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Mutation(NamedTuple):
    """A changed answer.

    ``check``: two texts whose values must differ for it to be wrong; None if it is wrong by construction, such as an
    interval with another end.
    """

    operator: str
    text: str
    check: tuple[str, str] | None


_COMMAND = re.compile(r"\\[a-zA-Z]+|\\.")
_TEXT = re.compile(r"\\(?:text\w*|mathrm|mbox|mathbf|begin|end|operatorname)\s*\{[^{}]*\}")
_EXPONENT = re.compile(r"\^\s*(?:\{(-?\d+)\}|(\d))")
_FRACTION = re.compile(r"(\\[dt]?frac)\{([^{}]+)\}\{([^{}]+)\}")
_ARGUMENT = re.compile(
    r"(\\(?:sqrt|sin|cos|tan|ln|log|exp|arctan|arcsin)\s*)(?:\{([^{}]+)\}|\(([^()]+)\)|(\d|[a-z])(?![a-z]))"
)
_NAME = r"([A-Za-z](?:_\{?\w\}?)?)"
_LABELLED = re.compile(rf"{_NAME}\s*=\s*([^=,;]+?)\s*(?:,|\\text\{{ and \}}|and)\s*{_NAME}\s*=\s*([^=,;]+)")
_PAIR = re.compile(r"\(([^(),\[\]]+),([^(),\[\]]+)\)")
_INTERVAL = re.compile(r"([(\[])([^()\[\],]+),([^()\[\],]+)([)\]])")
_FUNCTIONS = {r"\sin": r"\cos", r"\cos": r"\sin", r"\tan": r"\cot", r"\ln": r"\sin", r"\arctan": r"\arcsin"}
_RELATIONS = {"<": ">", ">": "<", "l": ">", "g": "<"}


def mutations(answer: str) -> Iterator[Mutation]:
    """Every change of every operator to ``answer``, each once."""
    seen = {answer}
    for operator in _OPERATORS:
        for text, check in operator(answer):
            if text not in seen:
                seen.add(text)
                yield Mutation(operator.__name__.strip("_"), text, check)


Changes = Iterator[tuple[str, tuple[str, str] | None]]


def _replaced(answer: str, start: int, end: int, text: str) -> tuple[str, tuple[str, str]]:
    changed = answer[:start] + text + answer[end:]
    return changed, (answer, changed)


def _formula(answer: str) -> str:
    """``answer`` with its commands and words masked, so that only symbols are changed."""
    covered = _TEXT.sub(lambda match: "¤" * len(match[0]), answer)
    return _COMMAND.sub(lambda match: "¤" * len(match[0]), covered)


def _digits(answer: str) -> Changes:
    for digit in re.finditer(r"\d", _formula(answer)):
        yield _replaced(answer, digit.start(), digit.end(), str((int(digit[0]) + 1) % 10 or 1))


def _signs(answer: str) -> Changes:
    for sign in re.finditer(r"[-+]", _formula(answer)):
        yield _replaced(answer, sign.start(), sign.end(), "-" if sign[0] == "+" else "+")
    if re.match(r"[\d\\a-z]", answer) and "=" not in answer and "," not in answer and "text" not in answer:
        yield _replaced(answer, 0, 0, "-")


def _exponents(answer: str) -> Changes:
    for match in _EXPONENT.finditer(answer):
        yield _replaced(answer, match.start(), match.end(), f"^{{{int(match[1] or match[2]) + 1}}}")


def _operators(answer: str) -> Changes:
    for match in re.finditer(r"\\cdot(?![a-z])|\\times(?![a-z])|\*|(?<=[\w}]) ?/ ?(?=[\w\\{])", answer):
        yield _replaced(answer, match.start(), match.end(), r"\cdot " if "/" in match[0] else "+")
    for match in _FRACTION.finditer(answer):
        yield _replaced(answer, match.start(), match.end(), f"{match[1]}{{{match[3]}}}{{{match[2]}}}")


def _arguments(answer: str) -> Changes:
    for match in _ARGUMENT.finditer(answer):
        inside = match[2] or match[3] or match[4]
        opening, closing = ("(", ")") if match[3] else ("{", "}")
        yield _replaced(answer, match.start(), match.end(), f"{match[1].strip()}{opening}{inside}+1{closing}")


def _functions(answer: str) -> Changes:
    for match in re.finditer(r"\\(?:sin|cos|tan|ln|arctan|pi)(?![a-zA-Z])", answer):
        yield _replaced(answer, match.start(), match.end(), _FUNCTIONS.get(match[0], " e "))


def _names(answer: str) -> Changes:
    """One letter replaced by another, on the right side of an equation, or anywhere if there is no equation."""
    begin = answer.rfind("=") + 1
    for match in re.finditer(r"(?<![A-Za-z_{¤])[a-zA-Z](?![A-Za-z])", _formula(answer)):
        if match.start() >= begin and match[0] not in "eidx":
            yield _replaced(answer, match.start(), match.end(), "q" if match[0] != "q" else "r")


def _swaps(answer: str) -> Changes:
    for match in _LABELLED.finditer(answer):
        a, one, b, other = (group.strip() for group in match.groups())
        yield answer[: match.start()] + f"{a}={other}, {b}={one}" + answer[match.end() :], (one, other)
    for match in _PAIR.finditer(answer):
        yield answer[: match.start()] + f"({match[2]},{match[1]})" + answer[match.end() :], (match[1], match[2])


def _brackets(answer: str) -> Changes:
    """Whether an interval includes an end or not; never for pairs of coordinates."""
    for match in _INTERVAL.finditer(answer):
        if "[" not in match[1] + match[4] and "]" not in match[1] + match[4] and "cup" not in answer:
            continue
        for place, mark, bound in ((match.start(), match[1], match[2]), (match.end() - 1, match[4], match[3])):
            if "infty" not in bound:
                yield answer[:place] + {"(": "[", "[": "(", ")": "]", "]": ")"}[mark] + answer[place + 1 :], None


def _relations(answer: str) -> Changes:
    for match in re.finditer(r"[<>]|\\([lg])e(?:q|qslant)?(?![a-zA-Z])", answer):
        yield answer[: match.start()] + _RELATIONS[match[1] or match[0]] + " " + answer[match.end() :], None


_OPERATORS = (
    _exponents, _relations, _brackets, _swaps, _arguments, _functions, _operators, _names, _signs, _digits,
)  # fmt: skip
