"""Which traces may begin under a limit on tokens or FLOPs."""

from __future__ import annotations

import logging
from bisect import insort
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from statistics import median
from typing import Protocol

from widthwise.core.backend import Request
from widthwise.core.model_shape import ModelShape
from widthwise.core.session.ledger import Ledger
from widthwise.core.trace.trace import Finish, Trace

_log = logging.getLogger(__name__)


class Growth(Protocol):
    """A branch as far as its tokens are concerned; ``whole`` if only its own end will end it."""

    request: Request
    parent: Trace
    model: str
    whole: bool
    tokens: int
    finish: Finish | None

    @property
    def origin(self) -> int:
        """The position of its first token."""
        ...

    @property
    def most(self) -> int | None:
        """How many tokens it may reach at most; None if unknown."""
        ...

    def cap(self, tokens: int) -> None:
        """Limit it to so many tokens, though it might want more."""
        ...


@dataclass(frozen=True, slots=True)
class Purse:
    """A ``limit`` on what traces cost: what is ``spent`` of it, and what a branch's tokens cost at a length.

    ``afforded`` is the largest number of tokens of a branch that costs no more than so much. Before the first token of
    what continues a trace, its ``prompt`` costs so much; the ``first`` token costs so much more.
    """

    limit: float
    spent: Callable[[], float]
    cost: Callable[[Growth, int], float]
    afforded: Callable[[Growth, float], int]
    prompt: Callable[[Trace], float]
    first: Callable[[Trace], float]

    @classmethod
    def of_tokens(cls, ledger: Ledger, limit: int) -> Purse:
        """A limit on sampled tokens: prompts cost nothing."""
        return cls(
            limit,
            lambda: ledger.total,
            lambda branch, tokens: tokens,
            lambda branch, left: int(left),
            lambda trace: 0,
            lambda trace: 1,
        )

    @classmethod
    def of_flops(
        cls,
        shapes: Mapping[str, ModelShape],
        limit: float,
        spent: Callable[[], float],
        prompt: Callable[[Trace], float],
    ) -> Purse:
        """A limit on FLOPs, of models with these shapes."""
        return cls(
            limit,
            spent,
            lambda branch, tokens: shapes[branch.model].sampled(branch.origin, tokens),
            lambda branch, left: shapes[branch.model].afforded(branch.origin, left),
            prompt,
            lambda trace: shapes[trace.model].sampled(len(trace.token_ids), 1),
        )

    def left(self) -> float:
        """What may still be spent."""
        return self.limit - self.spent()

    def fits(self, branches: Iterable[Growth], more: float = 0) -> bool:
        """Whether the limit is enough for ``branches`` at their maximum lengths, plus so much more."""
        still = [None if b.most is None else self.cost(b, b.most) - self.cost(b, b.tokens) for b in branches]
        return None not in still and sum(cost for cost in still if cost) + more <= self.left()


class Launches:
    """Lets traces begin in order, as long as the limits (``purses``; none: no limit) buy them whole.

    The first one begins. Each further one begins if what all earlier traces have cost, plus the new part of its own
    prompt, plus what the tokens of a trace have cost so far (the median), fits into the limit. The cost of a live trace
    is not known yet, so a trace begins beside live ones only if the rule holds even if each of them takes all it may.
    So which traces are bought depends only on their lengths in order of launch, whatever the engine, the width and the
    timing. The last of them may still be longer than what is left, and is cut there. ``charge`` is told of each trace
    that a beginning branch continues, and charges it as a prompt.

    Pieces of traces (steps, threads, judges' replies) are not launches: they begin as they come. The first ``paid``
    traces begin in any case, as far as the limits reach: they were bought before, under larger limits. ``refused`` says
    whether a trace could not begin.
    """

    def __init__(self, purses: Sequence[Purse], charge: Callable[[Trace], None]) -> None:
        self.paid = 0
        self.refused = False
        self._purses = purses
        self._charge = charge
        self._begun: list[Growth] = []
        self._live: list[Growth] = []

    def buys(self, trace: Trace) -> bool:
        """Whether a continuation of ``trace`` may begin when no other trace is live."""
        bought = self._is_paid or all(
            purse.prompt(trace) + max(self._typical(purse), purse.first(trace)) <= purse.left()
            for purse in self._purses
        )
        self.refused |= not bought
        return bought

    @property
    def _is_paid(self) -> bool:
        return len(self._begun) < self.paid

    def allows(self, branch: Growth, live: Collection[Growth]) -> bool:
        """Whether ``branch`` may begin now, beside those of its draw that are ``live``; the last one is capped."""
        if not branch.whole:
            return True
        allowed = self._beside if live else self._alone
        return all(allowed(purse, branch, live) for purse in self._purses)

    def begin(self, branch: Growth, waiting: Iterable[Growth]) -> None:
        """Note that ``branch`` begins, while others are ``waiting`` that may begin beside it.

        Its tokens may come several at a time if the limits are enough for all of them at their maximum lengths;
        otherwise every single token must be seen.
        """
        self._charge(branch.parent)
        if not self._purses:
            return
        self._live = [other for other in self._live if other.finish is None] + [branch]
        together = [*self._live, *waiting]
        prompts = list(dict.fromkeys(other.parent for other in together[len(self._live) :]))
        if not all(purse.fits(together, sum(map(purse.prompt, prompts))) for purse in self._purses):
            branch.request = replace(branch.request, chunk=1)
        if branch.whole:
            self._begun.append(branch)

    def _alone(self, purse: Purse, branch: Growth, live: Collection[Growth]) -> bool:
        """Nothing is open: the rule as it stands."""
        left = purse.left() - purse.prompt(branch.parent)
        bought = self._is_paid or left >= self._typical(purse)
        if not bought or (tokens := purse.afforded(branch, left)) < 1:
            self.refused = True
            return False
        branch.cap(tokens)
        return True

    def _beside(self, purse: Purse, branch: Growth, live: Collection[Growth]) -> bool:
        """Whether the rule holds whatever becomes of the live ones."""
        known = [purse.cost(other, other.most) for other in live if other.most is not None]
        if len(known) < len(live) or branch.most is None:
            _say_unbounded()
            return False
        prompt = purse.prompt(branch.parent)
        return purse.fits([*live, branch], prompt) and purse.fits(live, prompt + self._typical(purse, known))

    def _typical(self, purse: Purse, live: Iterable[float] = ()) -> float:
        """The median cost of the whole traces that have ended, and of those ``live``; 0 before there are any."""
        costs = [purse.cost(branch, branch.tokens) for branch in self._begun if branch.finish is not None]
        return median([*costs, *live]) if costs or live else 0


@cache
def _say_unbounded() -> None:
    _log.warning(
        "the length of a trace is not bounded (no max_tokens, unknown context length): under a token limit, "
        "traces are sampled one after another; --max-tokens lets several grow at once"
    )


@dataclass(frozen=True, slots=True)
class Bought:
    """What a limit buys: how many traces begin, how many of these reach their end, and what is spent."""

    begun: int
    whole: int
    spent: float


def bought(lengths: Sequence[float], limit: float, *, paid: int = 0) -> Bought:
    """What ``limit`` buys of traces of these ``lengths`` (or costs), in order of launch: the rule of ``Launches``.

    The first ``paid`` of them begin in any case.
    """
    spent, rising = 0.0, list[float]()
    for begun, length in enumerate(lengths):
        if spent >= limit or (begun >= max(paid, 1) and spent + median(rising) > limit):
            return Bought(begun, begun, spent)
        spent += length
        insort(rising, length)
        if spent > limit:
            return Bought(begun + 1, begun, limit)
    return Bought(len(lengths), len(lengths), spent)
