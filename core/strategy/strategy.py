"""Strategies: a sampler, pruners, a budget and an aggregator, composed with ``|``."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from widthwise.core.errors import BudgetReached, UsageError
from widthwise.core.session.budget import Budget, Ledger
from widthwise.core.session.session import Session
from widthwise.core.strategy.answer import Answer, elect
from widthwise.core.strategy.part import Part
from widthwise.core.strategy.pruner import Pruner
from widthwise.core.trace.trace import Note, Trace, TraceId

Outcome = Answer | Sequence[Trace] | str | None
"""What a sampler may return: traces to aggregate, or already an answer (or its text)."""


class Sampler(Protocol):
    """Grows traces. Any ``async`` function of a session is one."""

    def __call__(self, session: Session, /) -> Awaitable[Outcome]: ...


class Aggregator(Protocol):
    """Turns traces into one answer. Any ``async`` function of a session and its traces is one."""

    def __call__(self, session: Session, traces: Sequence[Trace], /) -> Awaitable[Answer]: ...


@dataclass(frozen=True, slots=True)
class Result:
    """What a strategy made of one problem.

    ``traces`` are the leaves of the tree, pruned and cut ones included; ``judgements`` are the replies of judges,
    ``parts`` the traces that grew for another one only, such as threads. ``errors`` are the sentences of requests that
    failed for good, those of judges and to the reward model among them: a strategy goes on without what they were to
    say. ``notes`` are what else was out of the ordinary.
    """

    answer: str | None
    traces: tuple[Trace, ...]
    ledger: Ledger
    election: Answer
    errors: tuple[str, ...] = ()
    judgements: tuple[Trace, ...] = ()
    parts: tuple[Trace, ...] = ()
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Strategy(Part):
    """A way to spend a budget on a problem; the same value runs on every backend.

    ``sampler`` may settle on an answer by itself, and then needs no ``aggregator``.
    """

    sampler: Sampler
    pruners: tuple[Pruner, ...] = ()
    aggregator: Aggregator | None = None
    budget: Budget | None = None

    async def run(self, session: Session) -> Result:
        """Work on the session's problem; a budget that runs out ends the sampling, not the strategy."""
        try:
            election = await self.answer(session)
        finally:
            await session.settle()
        return Result(
            election.text,
            tuple(session.leaves),
            session.ledger,
            election,
            errors=session.errors,
            judgements=tuple(session.judgements),
            parts=tuple(session.parts),
            notes=tuple(session.notes),
        )

    async def answer(self, session: Session) -> Answer:
        """Sample and settle on an answer, in a session (or a view of one) that goes on afterwards."""
        session.heed(self.sampler, *self.pruners, self.aggregator)
        try:
            outcome = await self.sampler(session)
        except BudgetReached:
            outcome = session.leaves
        return await self._settle(session, outcome)

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
        return " | ".join(p.brief() if isinstance(p, Part) else spelled(p) for p in parts if p is not None)


async def delegate(session: Session, worker: Any, roots: Sequence[Trace]) -> list[Trace | None]:
    """One trace for each of ``roots`` (one root may stand there several times), in their order.

    ``worker`` is a sampler or a strategy without a budget, which works at each root by itself and settles on the
    trace that represents its answer, on the last one where none states an answer. None draws a plain sample of each
    root, all in one draw. A root has None where nothing was written before the budget was used up. Raises
    ``BudgetReached`` where that holds for all.
    """
    if worker is None:
        drawn: dict[TraceId, list[Trace]] = {}
        for trace in await session.sample(roots):
            drawn.setdefault(trace.id[:-1], []).append(trace)
        return [drawn[root.id].pop(0) if drawn.get(root.id) else None for root in roots]
    strategy = as_worker(worker)
    views = [session.at(root, pruners=strategy.pruners) for root in roots]
    answers = await session.together([strategy.answer(view) for view in views])
    traces = [a.trace or next(reversed(view.leaves), None) for a, view in zip(answers, views, strict=True)]
    if not any(traces):
        raise BudgetReached("the budget is used up")
    return traces


def as_worker(part: Any) -> Strategy:
    """What may work for another sampler; raises ``UsageError`` for anything else."""
    strategy = as_strategy(part)
    if strategy.budget is not None:
        raise UsageError(f"the worker {strategy} has a budget of its own; limits stand behind the whole strategy")
    return strategy


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
    if isinstance(part, Budget):
        return "budget"
    if hasattr(part, "every"):
        return "pruner"
    if not callable(part) or inspect.isclass(part):
        return "none"
    if inspect.isfunction(part) and not inspect.iscoroutinefunction(part):
        raise UsageError(f"{spelled(part)} must be an `async def` function")
    required = [p for p in inspect.signature(part).parameters.values() if p.default is p.empty]
    return {1: "sampler", 2: "aggregator"}.get(len(required), "none")  # type: ignore[return-value]


def spelled(part: Any) -> str:
    """A part as the command line writes it."""
    if inspect.isfunction(part):
        return f"{part.__module__}:{part.__qualname__}"
    return str(part)
