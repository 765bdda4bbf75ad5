"""Numbers read exactly from the ways answers write them, so that most answers need no algebra."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from widthwise.evals.grading.normalisation import MAX_CHARS, normalise

_MAX_DIGITS = 300
_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"
_EXPONENT = r"(?:(?:\\times|\*|x)10\^\{?\(?([-+]?\d{1,3})\)?\}?|[eE]([-+]?\d{1,3}))?"
_DECIMAL = re.compile(rf"([-+]?){_NUMBER}{_EXPONENT}(%?)")
_POWER_OF_TEN = re.compile(r"([-+]?)10\^\{?([-+]?\d{1,3})\}?")
_RATIO = re.compile(r"([-+]?)(?:(\d+) ?)?(?:\\frac\{([-+]?\d+)\}\{([-+]?\d+)\})|([-+]?)\(?([-+]?\d+)\)?/\(?(\d+)\)?")
_MIXED = re.compile(r"([-+]?)(\d+) (\d+)/(\d+)")
_SIGNIFICANT_DIGITS = 4
"""A decimal with so many digits may stand for the fraction that it rounds."""


@dataclass(frozen=True, slots=True)
class Numeral:
    """An exact value, whether it was written as a percentage, and the step of its last decimal place (0: exact)."""

    value: Fraction
    percent: bool = False
    step: Fraction = Fraction(0)
    digits: int = 0


def read_numeral(answer: str) -> Numeral | None:
    """The number that ``answer`` is, or None if it is anything else."""
    return _numeral(answer) if len(answer) <= MAX_CHARS else None


@lru_cache(maxsize=100_000)
def _numeral(answer: str) -> Numeral | None:
    text = normalise(answer)
    if len(text) > _MAX_DIGITS or not any(c.isdigit() for c in text):
        return None
    if text.startswith("(") and text.endswith(")") and text.count("(") == 1:
        text = text[1:-1]
    return _power(text) or _decimal(text) or _mixed(text) or _ratio(text)


def same_number(a: Numeral, b: Numeral) -> bool:
    """Equal, or one the correct rounding of the other to at least four digits; 60 % is 60 and 0.6."""
    if a.percent == b.percent:
        return _agree(a.value, b.value, a, b)
    scaled = Fraction(1, 100)
    whole, part = (a, b) if a.percent else (b, a)
    return any(_agree(value, part.value, whole, part) for value in (whole.value, whole.value * scaled))


def _agree(x: Fraction, y: Fraction, a: Numeral, b: Numeral) -> bool:
    if x == y:
        return True
    if (a.step == 0) == (b.step == 0):  # two exact numbers, or two decimals
        return False
    rounded = a if a.step else b
    return rounded.digits >= _SIGNIFICANT_DIGITS and abs(x - y) < rounded.step


def _power(text: str) -> Numeral | None:
    match = _POWER_OF_TEN.fullmatch(text)
    return Numeral(_signed(match[1], Fraction(10) ** int(match[2]))) if match else None


def _decimal(text: str) -> Numeral | None:
    match = _DECIMAL.fullmatch(text)
    if match is None:
        return None
    sign, digits, power, exponent, percent = match.groups()
    scale = Fraction(10) ** int(power or exponent or 0)
    places = len(digits.partition(".")[2])
    step = scale / 10**places if "." in digits else Fraction(0)
    significant = len(digits.replace(".", "").lstrip("0"))
    return Numeral(_signed(sign, Fraction(digits) * scale), bool(percent), step, significant)


def _mixed(text: str) -> Numeral | None:
    match = _MIXED.fullmatch(text)
    if match is None or int(match[4]) == 0:
        return None
    return Numeral(_signed(match[1], int(match[2]) + Fraction(int(match[3]), int(match[4]))))


def _ratio(text: str) -> Numeral | None:
    match = _RATIO.fullmatch(text)
    if match is None:
        return None
    sign, whole = match[1] or match[5] or "", int(match[2] or 0)
    above, below = int(match[3] or match[6]), int(match[4] or match[7])
    return Numeral(_signed(sign, whole + Fraction(above, below))) if below else None


def _signed(sign: str, value: Fraction) -> Fraction:
    return -value if sign == "-" else value
