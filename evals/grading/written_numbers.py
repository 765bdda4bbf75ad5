"""The ways in which numbers are written: decimals, mixed numbers, repeating digits, digits in a base."""

from __future__ import annotations

import re
from abc import abstractmethod
from fractions import Fraction

from widthwise.evals.grading.cursor import Cursor
from widthwise.evals.grading.terms import MARK, Node, NotUnderstood, Number, Symbol, Term, integer
from widthwise.evals.grading.tokens import Token

_DECIMAL = re.compile(r"\d*\.\d*")
_GOING_ON = re.compile(r"(\d*\.\d*?)(?:(\d)\2{2,}|(\d{2,}?)\3+)")


class WrittenNumbers(Cursor):
    """Reads numbers, and the single arguments of commands."""

    @abstractmethod
    def atom(self) -> Node: ...

    @abstractmethod
    def symbol(self, name: str) -> Node: ...

    def argument(self) -> Node:
        """What a command is applied to: a group in braces, or the next single digit or letter."""
        token = self.token
        if token.kind == "number" and token.text.isdigit() and len(token.text) > 1:
            halves = [token._replace(text=token.text[0]), token._replace(text=token.text[1:], spaced=False)]
            self._tokens = [*self._tokens[: self._at], *halves, *self._tokens[self._at + 1 :]]
            return decimal(self.next().text)
        if token.kind in ("number", "letter"):
            self.next()
            return decimal(token.text) if token.kind == "number" else self.symbol(token.text)
        return self.atom()

    def number(self, token: Token) -> Node:
        text = token.text
        barred = self.token.kind == "command" and self.token.text in ("overline", "bar", "dot")
        if _DECIMAL.fullmatch(text) and (barred or (self.at("(") and not self.token.spaced)):
            return self._repeating(text)
        if self.token.kind == "command" and self.token.text.endswith("dots") and "." in text:
            self.next()
            return _going_on(text)
        if self.at("_") and text.isdigit():
            return self._based(text)
        value = decimal(text)
        return self._mixed(value) if text.isdigit() else value

    def _repeating(self, before: str) -> Node:
        """``0.1\\overline{6}``, ``0.1(6)``."""
        digits = self._digits("(", ")") if self.at("(") else self._digits() if self.next() else ""
        places = len(before.partition(".")[2])
        start = Fraction(before.rstrip(".") or "0") if before.strip(".") else Fraction(0)
        return Number(start + Fraction(int(digits), (10 ** len(digits) - 1) * 10**places))

    def _digits(self, opening: str = "{", closing: str = "}") -> str:
        """The digits in braces."""
        self.expect(opening)
        token = self.next()
        self.expect(closing)
        if not token.text.isdigit():
            raise NotUnderstood("digits are missing")
        return token.text

    def _based(self, text: str) -> Node:
        self.next()
        base = self._digits() if self.at("{") else self.next().text
        if not base.isdigit() or not 2 <= int(base) <= 36 or any(int(digit) >= int(base) for digit in text):
            raise NotUnderstood(f"{text} in base {base}")
        return Term("based", (Symbol(MARK + (text.lstrip("0") or "0")), integer(int(base))))

    def _mixed(self, whole: Number) -> Node:
        """``1\\frac12`` and ``1 1/2`` are three halves."""
        start = self._at
        if self.token.kind == "command" and self.token.text in ("frac", "dfrac", "tfrac"):
            self.next()
            above, below = self.argument(), self.argument()
            if isinstance(above, Number) and isinstance(below, Number):
                if not _proper(above, below):  # 1\frac{9}{5} may be a product, or a slip
                    raise NotUnderstood("a mixed number whose fraction is not one")
                return Number(whole.value + above.value / below.value)
        elif self.token.kind == "number" and self.token.spaced and self.ahead().text == "/":
            above, below = self._integer(self._at), self._integer(self._at + 2)
            if _proper(above, below):
                self._at += 3
                return Number(whole.value + above.value / below.value)
        self._at = start
        return whole

    def _integer(self, at: int) -> Number:
        text = self._tokens[at].text if at < len(self._tokens) else ""
        return integer(int(text)) if text.isdigit() and len(text) < 20 else integer(0)


def _going_on(text: str) -> Number:
    """``0.333...`` and ``0.1212...`` say how they continue, ``0.35...`` does not."""
    match = _GOING_ON.fullmatch(text)
    if match is None:
        raise NotUnderstood("digits that continue in an unstated way")
    digits, places = match[2] or match[3], len(match[1].partition(".")[2])
    return Number(Fraction(match[1] + "0") + Fraction(int(digits), (10 ** len(digits) - 1) * 10**places))


def _proper(above: Node, below: Node) -> bool:
    return (isinstance(above, Number) and isinstance(below, Number) and 0 < above.value < below.value
            and above.value.denominator == below.value.denominator == 1)  # fmt: skip


def decimal(text: str) -> Number:
    digits, _, exponent = text.lower().partition("e")
    scale = Fraction(10) ** int(exponent or 0) if len(exponent) < 5 else None
    if scale is None:
        raise NotUnderstood("an exponent that is too large")
    places = len(digits.partition(".")[2])
    significant = len(digits.replace(".", "").lstrip("0"))
    if "." not in digits and not exponent:
        return Number(Fraction(digits))
    return Number(Fraction(digits.rstrip(".")) * scale, scale / 10**places if places else Fraction(0), significant)
