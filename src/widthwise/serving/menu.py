"""The served strategies, by the names under which clients ask for them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.registry import nearest
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.strategy.strategy import Strategy
from widthwise.serving.refusal import Refusal
from widthwise.settings import STRATEGY, as_any_strategy

UNNAMED = "widthwise"
"""The name of a strategy that was given none."""
OWN = "(own)"
"""The name in figures for strategies that requests bring: there is no limit to them."""

LARGEST_NUMBER = 32_768
"""What an argument in a strategy of a request may be at most: the length of a long thought."""

_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._/-]{0,99})=(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Menu:
    """``strategies`` by name; ``open`` lets a request give its own as the model's name."""

    strategies: Mapping[str, Strategy]
    open: bool = False

    @classmethod
    def of(cls, given: Any = None, *, open: bool = False) -> Menu:
        """The menu for a strategy (text or a value), for several by name, or for a command's ``NAME=TEXT``.

        Raises ``UsageError`` for a text that is not a strategy and for two with the same name.
        """
        if isinstance(given, Mapping):
            named = {str(name): as_any_strategy(strategy) for name, strategy in given.items()}
        else:
            named = _named(given if isinstance(given, list | tuple) else [STRATEGY if given is None else given])
        return cls(named, open)

    def strategy(self, name: str) -> Strategy:
        """The strategy with this name, or the one that the name spells; raises ``Refusal`` if there is none.

        A request's text is parsed, never evaluated, and may name only built-in and installed parts.
        """
        if name in self.strategies:
            return self.strategies[name]
        if not self.open:
            known = ", ".join(self.strategies)
            raise _unknown(
                f"there is no model {name[:200]!r}{nearest(name, self.strategies) or ';'} there are: {known}"
            )
        try:
            strategy = parse_strategy(name, trusted=False)
            _check_numbers(name)
            return strategy
        except UsageError as error:
            raise _unknown(f"the model is neither a known name nor a strategy: {error}") from None

    def label(self, name: str) -> str:
        """The name in figures for this strategy."""
        return name if name in self.strategies else OWN


def _check_numbers(text: str) -> None:
    """Raises ``UsageError`` for a number that could fill the memory; budgets are limited by the server's own."""
    calls = [node for node in ast.walk(ast.parse(text.strip(), mode="eval")) if isinstance(node, ast.Call)]
    for call in calls:
        if isinstance(call.func, ast.Name) and call.func.id == "budget":
            continue
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        constants = [node.value for value in given for node in ast.walk(value) if isinstance(node, ast.Constant)]
        for value in constants:
            if isinstance(value, int | float) and not abs(value) <= LARGEST_NUMBER:
                raise UsageError(
                    f"the number {value} is too large here: a strategy of a request has {LARGEST_NUMBER} at most"
                )


def _named(given: Iterable[Any]) -> dict[str, Strategy]:
    named: dict[str, Strategy] = {}
    for each in given:
        found = _NAMED.fullmatch(each) if isinstance(each, str) else None
        name, strategy = (found[1], found[2]) if found else (UNNAMED, each)
        if name in named:
            raise UsageError(f"two strategies are called {name!r}; give each a name: --strategy NAME=STRATEGY")
        named[name] = as_any_strategy(strategy)
    return named


def _unknown(message: str) -> Refusal:
    return Refusal(404, message, param="model", code="model_not_found")
