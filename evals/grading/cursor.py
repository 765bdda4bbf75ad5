"""A position in the tokens of a formula, and questions about the tokens there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from widthwise.evals.grading.terms import NotUnderstood, words
from widthwise.evals.grading.tokens import END, Token

_MAX_DEPTH = 40
_MAX_CHAINED = 60
_OPENING = words("( [ { \\{ langle lfloor lceil | triangle angle")


class Cursor:
    """Moves through tokens from left to right."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._bars = 0
        self._chained = 0
        self.in_braces = False

    @property
    def token(self) -> Token:
        return self.ahead(0)

    def ahead(self, by: int = 1) -> Token:
        return self._tokens[self._at + by] if self._at + by < len(self._tokens) else END

    def next(self) -> Token:
        token = self.token
        self._at += 1
        return token

    def at(self, *operators: str) -> bool:
        return self.token.kind == "op" and self.token.text in operators

    def expect(self, text: str) -> None:
        if self.next().text != text:
            raise NotUnderstood(f"{text} is missing")

    def expect_end(self) -> None:
        if self.token is not END:
            raise NotUnderstood(f"{self.token.text} is where the formula should end")

    def chained(self) -> None:
        """Counts nesting without brackets: ``1/2/3``, ``x!!``."""
        self._chained += 1
        if self._chained > _MAX_CHAINED:
            raise NotUnderstood("too many operations in a row")

    @contextlib.contextmanager
    def deeper(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise NotUnderstood("nested too deeply")
        yield
        self._depth -= 1

    def starts_factor(self) -> bool:
        """Whether a factor follows without an operator: ``2x``, but not ``x 2`` or ``2 3``."""
        token = self.token
        if token.kind == "number":
            before = self._tokens[self._at - 1].text
            if token.spaced:  # n 2^n, but not (a) 5
                return self.ahead().text == "^"
            return before in (")", "}", "]", "!")
        if token.kind == "op":
            if token.text == "|" and (self.in_braces or self._bars):
                return False
            return token.text in _OPENING and not self._modular()
        return token.kind in ("letter", "function", "command", "module") and not token.text.startswith("end ")

    def _modular(self) -> bool:
        return self.at("(") and self.ahead().text == "pmod"
