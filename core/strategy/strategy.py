"""Strategies: a sampler, pruners, a budget and an aggregator, composed with ``|``."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol, Unpack

from widthwise.core.answer import Answer, elect
from widthwise.core.errors import BudgetReached, UsageError
from widthwise.core.problem import Problem
from widthwise.core.pruner import Pruner
from widthwise.core.session.limits import Limits
from widthwise.core.session.session import Session
from widthwise.core.session.setting import Setting
from widthwise.core.session.terms import Terms
from widthwise.core.strategy.result import Result
from widthwise.core.strategy.spelling import Spelled, spelled
from widthwise.core.trace.trace import Trace

Outcome = Answer | Sequence[Trace] | str | None
"""What a sampler may return: traces to aggregate, or already an answer (or its text)."""


class Sampler(Protocol):
    """Grows traces. Any ``async`` function of a session is one."""

    def __call__(self, session: Session, /) -> Awaitable[Outcome]: ...


class Aggregator(Protocol):
    """Turns traces into one answer. Any ``async`` function of a session and its traces is one."""

    def __call__(self, session: Session, traces: Sequence[Trace], /) -> Awaitable[Answer]: ...


@dataclass(frozen=True)
class Strategy(Spelled):
    """A way to spend a budget on a problem; the same value runs on every backend.

    ``sampler`` may settle on an answer by itself, and then needs no ``aggregator``.
    """

    sampler: Sampler
    pruners: tuple[Pruner[Session], ...] = ()
    aggregator: Aggregator | None = None
    budget: Limits | None = None

    async def solve(self, problem: Problem, setting: Setting, **terms: Unpack[Terms]) -> Result:
        """Work on ``problem`` in a session of its own, under the strategy's pruners and its budget."""
        return await self.run(self.open(problem, setting, **terms))

    def open(self, problem: Problem, setting: Setting, **terms: Unpack[Terms]) -> Session:
        """A session for this strategy to ``run`` in."""
        return Session(problem, setting, budget=self.budget, pruners=self.pruners, **terms)

    def within(self, budget: Limits | None) -> Strategy:
        """This strategy under another budget; as it is where ``budget`` is None."""
        return self if budget is None else replace(self, budget=budget)

    async def run(self, session: Session) -> Result:
        """Work on the session's problem; a budget that runs out ends the sampling, not the strategy.

        Raises ``UsageError`` for a session that was not opened under the strategy's pruners and its budget.
        """
        try:
            election = await self.answer(session)
        finally:
            await session.settle()
        return Result.of(session, election)

    async def answer(self, session: Session) -> Answer:
        """Sample and settle on an answer, in a session (or a view of one) that goes on afterwards.

        Raises ``UsageError`` as ``run`` does.
        """
        self._check(session)
        session.heed(self.sampler, *self.pruners, self.aggregator)
        try:
            outcome = await self.sampler(session)
        except BudgetReached:
            outcome = session.leaves
        return await self._settle(session, outcome)

    def _check(self, session: Session) -> None:
        """A pruner or a budget that a session does not know would be ignored."""
        way_out = f"open it with Strategy.open, or let Strategy.solve do both: {self}"
        if absent := [pruner for pruner in self.pruners if not any(pruner == known for known in session.pruners)]:
            raise UsageError(f"the session was opened without the strategy's pruner {spelled(absent[0])}; {way_out}")
        if self.budget is not None and asdict(self.budget) != asdict(session.budget):
            raise UsageError(f"the session was opened without the strategy's budget {spelled(self.budget)}; {way_out}")

    async def _settle(self, session: Session, outcome: Outcome) -> Answer:
        if isinstance(outcome, Answer):
            return outcome
        if outcome is None or isinstance(outcome, str):
            return Answer(outcome)
        if self.aggregator is not None:
            try:
                return await self.aggregator(session, outcome)
            except BudgetReached:  # an aggregator that samples (a judge) falls back on the plain vote
                pass
        return elect(await session.classes(outcome))

    def __str__(self) -> str:
        parts = [self.sampler, *self.pruners, self.budget, self.aggregator]
        return " | ".join(spelled(part) for part in parts if part is not None)

    def brief(self) -> str:
        """The strategy without the arguments that are the defaults."""
        parts = [self.sampler, *self.pruners, self.budget, self.aggregator]
        return " | ".join(spelled(part, brief=True) for part in parts if part is not None)

    def __or__(self, other: Any) -> Strategy:
        return compose(self, other)

    def __ror__(self, other: Any) -> Strategy:
        return compose(other, self)


def compose(left: Any, right: Any) -> Strategy:
    """``left | right``: add a pruner, a budget or the aggregator to a sampler or an unfinished strategy.

    Raises ``UsageError`` where the parts do not fit together.
    """
    strategy = as_strategy(left)
    if strategy.aggregator is not None:
        raise UsageError(f"nothing can stand behind the aggregator {spelled(strategy.aggregator)}")
    match _role(right):
        case "budget" if strategy.budget is not None:
            raise UsageError("a strategy has one budget; put all its limits in one budget(...)")
        case "budget":
            return replace(strategy, budget=right)
        case "pruner":
            return replace(strategy, pruners=(*strategy.pruners, right))
        case "aggregator":
            return replace(strategy, aggregator=right)
    raise UsageError(f"{spelled(right)} is no pruner, budget or aggregator; a sampler stands at the beginning only")


def as_strategy(part: Any) -> Strategy:
    """A strategy from whatever can stand at its beginning: a strategy, a sampler, an ``async`` function."""
    if isinstance(part, Strategy):
        return part
    if _role(part) != "sampler":
        raise UsageError(f"{spelled(part)} cannot stand at the beginning of a strategy; begin with a sampler")
    return Strategy(part)


def _role(part: Any) -> Literal["sampler", "pruner", "budget", "aggregator", "strategy", "none"]:
    """What a part is by its shape: pruners have ``every``, a sampler takes a session, an aggregator traces besides."""
    if isinstance(part, Strategy):
        return "strategy"
    if isinstance(part, Limits):
        return "budget"
    if hasattr(part, "every"):
        return "pruner"
    if not callable(part) or inspect.isclass(part):
        return "none"
    if inspect.isfunction(part) and not inspect.iscoroutinefunction(part):
        raise UsageError(f"{spelled(part)} must be an `async def` function")
    required = [p for p in inspect.signature(part).parameters.values() if p.default is p.empty]
    return {1: "sampler", 2: "aggregator"}.get(len(required), "none")  # type: ignore[return-value]
