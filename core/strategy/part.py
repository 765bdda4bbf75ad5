"""What strategies are composed of with ``|``."""

from __future__ import annotations

from typing import Any

from widthwise.core.strategy.spelling import Spelled
from widthwise.core.strategy.strategy import Strategy, compose


class Part(Spelled):
    """A sampler, pruner, budget or aggregator; ``a | b`` composes a strategy.

    Parts are frozen dataclasses: their fields are their arguments, in Python and on the command line, and
    ``str(part)`` is the command line's spelling.
    """

    __slots__ = ()

    def __or__(self, other: Any) -> Strategy:
        return compose(self, other)

    def __ror__(self, other: Any) -> Strategy:
        return compose(other, self)
