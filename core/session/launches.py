"""Which traces may begin under a token limit."""

from __future__ import annotations

import logging
from bisect import insort
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from statistics import median
from typing import Protocol

from widthwise.core.backend import Request
from widthwise.core.session.ledger import Ledger
from widthwise.core.trace.trace import Finish

_log = logging.getLogger(__name__)


class Growth(Protocol):
    """A branch as far as its tokens are concerned; ``whole`` if only its own end will end it."""

    request: Request
    whole: bool
    tokens: int
    finish: Finish | None

    @property
    def most(self) -> int | None:
        """How many tokens it may reach at most; None if unknown."""
        ...

    def cap(self, tokens: int) -> None:
        """Limit it to so many tokens, though it might want more."""
        ...


class Launches:
    """Lets traces begin in order, as long as ``limit`` tokens (None: no limit) buy them whole.

    The first one begins. Each further one begins if the tokens that all earlier traces have cost, plus what a trace has
    cost so far (the median), fit into the limit. The cost of a live trace is not known yet, so a trace begins beside
    live ones only if the rule holds even if each of them takes all it may. So which traces are bought depends only on
    their lengths in order of launch, whatever the engine, the width and the timing. The last of them may still be
    longer than what is left, and is cut there.

    Pieces of traces (steps, threads, judges' replies) are not launches: they begin as they come.
    """

    def __init__(self, ledger: Ledger, limit: int | None) -> None:
        self._ledger = ledger
        self._limit = limit
        self._begun: list[Growth] = []
        self._live: list[Growth] = []

    def buys(self) -> bool:
        """Whether another whole trace may begin when none is live."""
        return self._limit is None or self._ledger.total + self._typical() <= self._limit

    def allows(self, branch: Growth, live: Collection[Growth]) -> bool:
        """Whether ``branch`` may begin now, beside those of its draw that are ``live``; the last one is capped."""
        if self._limit is None or not branch.whole:
            return True
        return self._beside(branch, live) if live else self._alone(branch, self._limit)

    def begin(self, branch: Growth, waiting: Iterable[Growth]) -> None:
        """Note that ``branch`` begins, while others are ``waiting`` that may begin beside it.

        Its tokens may come several at a time if the limit is enough for all of them at their maximum lengths; otherwise
        every single token must be seen.
        """
        if self._limit is None:
            return
        self._live = [other for other in self._live if other.finish is None] + [branch]
        if not self._fit([*self._live, *waiting]):
            branch.request = replace(branch.request, chunk=1)
        if branch.whole:
            self._begun.append(branch)

    def _alone(self, branch: Growth, limit: int) -> bool:
        """Nothing is open: the rule as it stands."""
        left = limit - self._ledger.total
        if left < max(self._typical(), 1):
            return False
        branch.cap(left)
        return True

    def _beside(self, branch: Growth, live: Collection[Growth]) -> bool:
        """Whether the rule holds whatever becomes of the live ones."""
        needs = [other.most for other in live]
        known = [need for need in needs if need is not None]
        if len(known) < len(needs) or branch.most is None:
            _say_unbounded()
            return False
        return self._fit([*live, branch]) and self._fit(live, self._typical(known))

    def _fit(self, branches: Iterable[Growth], more: float = 0) -> bool:
        """Whether the limit is enough for ``branches`` at their maximum lengths, plus so many more tokens."""
        assert self._limit is not None
        still = [None if b.most is None else b.most - b.tokens for b in branches]
        return None not in still and self._ledger.total + sum(n for n in still if n) + more <= self._limit

    def _typical(self, live: Iterable[int] = ()) -> float:
        """The median length of the whole traces that have ended, and of those ``live``; 0 before there are any."""
        lengths = [branch.tokens for branch in self._begun if branch.finish is not None]
        return median([*lengths, *live]) if lengths or live else 0


@cache
def _say_unbounded() -> None:
    _log.warning(
        "the length of a trace is not bounded (no max_tokens, unknown context length): under a token limit, "
        "traces are sampled one after another; --max-tokens lets several grow at once"
    )


@dataclass(frozen=True, slots=True)
class Bought:
    """What a limit buys: how many traces begin, how many of these reach their end, and the tokens spent."""

    begun: int
    whole: int
    spent: float


def bought(lengths: Sequence[float], limit: float) -> Bought:
    """What ``limit`` tokens buy of traces of these ``lengths``, given in order of launch: the rule of ``Launches``."""
    spent, rising = 0.0, list[float]()
    for begun, length in enumerate(lengths):
        if spent >= limit or (rising and spent + median(rising) > limit):
            return Bought(begun, begun, spent)
        spent += length
        insort(rising, length)
        if spent > limit:
            return Bought(begun + 1, begun, limit)
    return Bought(len(lengths), len(lengths), spent)
