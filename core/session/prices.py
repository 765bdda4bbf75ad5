"""What tokens cost in money."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from widthwise.core.brief import Brief
from widthwise.core.errors import UsageError
from widthwise.core.session.ledger import Ledger, Spending

_MILLION = 1e6
_WRITTEN = "[NAME=]PROMPT,COMPLETION[,CACHED], money per million tokens: small=0.1,0.4"


@dataclass(frozen=True, slots=True)
class Price(Brief):
    """Money per million tokens: of prompts, of what is generated, and of prompts found in the server's cache.

    ``cached`` None: cached tokens cost as much as others.
    """

    prompt: float
    completion: float
    cached: float | None = None

    def of(self, spent: Ledger | Spending) -> float:
        """What ``spent`` costs."""
        cached = self.prompt if self.cached is None else self.cached
        generated = self.completion * (spent.sampled + spent.judging)
        return (self.prompt * spent.prompt_computed + cached * spent.prompt_cached + generated) / _MILLION

    @property
    def of_token(self) -> float:
        """What one generated token costs."""
        return self.completion / _MILLION

    def saved(self, tokens: float) -> float:
        """How much less so many tokens of prompts cost if they are found in the cache."""
        return 0.0 if self.cached is None else (self.prompt - self.cached) * tokens / _MILLION


NO_PRICES = "no prices were given (--price)"
RECORDED = "recorded generations do not say what their prompts cost"
"""Why it is not known what something cost."""

Prices = Mapping[str, Price]
"""The prices of a run's models by their names; the name of a single one is empty."""


def money(spent: Ledger, prices: Prices) -> float | None:
    """What a ledger costs; None if that is not known (``unknown`` says why).

    Reward and embedding models are not counted.
    """
    return None if unknown(spent, prices) else sum(prices[name].of(each) for name, each in _used(spent).items())


def unknown(spent: Ledger, prices: Prices) -> str:
    """Why it is not known what a ledger costs; empty if it is known."""
    if not prices:
        return NO_PRICES
    if lacking := sorted(_used(spent).keys() - prices.keys()):
        return f"there is no price for {', '.join(filter(None, lacking)) or 'its model'}"
    if any(_only_answers(each) and prices[name].prompt for name, each in _used(spent).items()):
        return "the tokens of its prompts were not counted"
    return ""


def _used(spent: Ledger) -> Mapping[str, Ledger | Spending]:
    """What each model spent; nothing where a problem failed before any was asked."""
    return spent.models or ({"": spent} if _prompts(spent) + spent.sampled + spent.judging else {})


def _only_answers(spent: Ledger | Spending) -> bool:
    """Whether there are answers, but none of the prompts that they must have had."""
    return bool(spent.sampled + spent.judging) and not _prompts(spent)


def _prompts(spent: Ledger | Spending) -> int:
    return spent.prompt_computed + spent.prompt_cached


def prices_of(given: Any) -> dict[str, Price]:
    """Prices as commands and callers give them: ``["small=0.1,0.4"]``, ``{"small": (0.1, 0.4)}`` or ``(0.1, 0.4)``.

    Raises ``UsageError`` for anything else.
    """
    if isinstance(given, Mapping):
        return {str(name): _price(each, given) for name, each in given.items()}
    items = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    if not any(isinstance(item, str) for item in items):
        return {"": _price(items, given)} if items else {}
    return dict(_named(item) for item in items)


def recorded_prices(manifest: Mapping[str, Any]) -> dict[str, Price]:
    """The prices that a run file has; raises ``UsageError`` for an entry that no run has written."""
    said = manifest.get("prices", {})
    if not isinstance(said, Mapping) or not all(isinstance(each, Mapping) for each in said.values()):
        raise UsageError("the run file is damaged: its prices are none")
    return {
        str(name): _price([each.get(k) for k in ("prompt", "completion", "cached")], each)
        for name, each in said.items()
    }


def record_of(prices: Prices) -> dict[str, Any]:
    """What a run file keeps."""
    return {name: asdict(price) for name, price in prices.items()}


def check_prices(prices: Prices, models: Sequence[str]) -> None:
    """Raises ``UsageError`` for a price of a model that is none of ``models``."""
    for name in prices:
        if name not in models:
            has = ", ".join(filter(None, models)) or "a single one, without a name"
            of = repr(name) if name else "a model without a name"
            raise UsageError(f"there is a price for {of}, but the models are: {has}. Write {_WRITTEN}")


def _named(text: Any) -> tuple[str, Price]:
    name, _, numbers = text.rpartition("=") if isinstance(text, str) else ("", "", "")
    try:
        return name, _price([float(number) for number in numbers.split(",")], text)
    except ValueError:
        raise _wrong(text) from None


def _price(numbers: Any, given: Any) -> Price:
    if isinstance(numbers, Price):
        return numbers
    known = [each for each in numbers if each is not None] if isinstance(numbers, list | tuple) else []
    if len(known) not in (2, 3) or not all(_is_amount(each) for each in known):
        raise _wrong(given)
    return Price(*map(float, known))


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _wrong(given: Any) -> UsageError:
    return UsageError(f"{given!r:.60} is no price: write {_WRITTEN}")
