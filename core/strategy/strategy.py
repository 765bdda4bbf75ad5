"""Strategies: a sampler, pruners, a budget and an aggregator, composed with ``|``."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol, TypeGuard, Unpack

from widthwise.core.answer import Answer, elect
from widthwise.core.errors import BudgetReached, UsageError
from widthwise.core.problem import Problem
from widthwise.core.pruner import PrunerOf
from widthwise.core.registry import declares, path_of, role_of
from widthwise.core.roles import ROLES, required
from widthwise.core.session.limits import Limits
from widthwise.core.session.session import Session
from widthwise.core.session.setting import Setting
from widthwise.core.session.terms import SessionTerms
from widthwise.core.session.thought_budget import thought_of
from widthwise.core.session.voices import model_of
from widthwise.core.strategy.checking import check, inside
from widthwise.core.strategy.function_part import FunctionPart
from widthwise.core.strategy.result import Result
from widthwise.core.strategy.spelling import Spelled, spelled
from widthwise.core.trace.trace import Trace

SamplerResult = Answer | Sequence[Trace] | str | None
"""What a sampler may return: traces to aggregate, or already an answer (or its text)."""


@declares("sampler")
class Sampler(Protocol):
    """Grows traces. Any ``async`` function of a session is one."""

    def __call__(self, session: Session, /) -> Awaitable[SamplerResult]: ...


@declares("pruner")
class Pruner(PrunerOf[Session], Protocol):
    """Names live traces of a draw that are not worth more tokens; ``PrunerOf`` says when it is asked."""


@declares("aggregator")
class Aggregator(Protocol):
    """Turns traces into one answer. Any ``async`` function of a session and its traces is one."""

    def __call__(self, session: Session, traces: Sequence[Trace], /) -> Awaitable[Answer]: ...


@dataclass(frozen=True)
class Strategy(Spelled):
    """A way to spend a budget on a problem; the same value runs on every backend.

    A ``sampler`` may return an answer by itself, and then needs no ``aggregator``. Raises ``UsageError`` for a part
    that declares another role.
    """

    sampler: Sampler
    pruners: tuple[Pruner, ...] = ()
    aggregator: Aggregator | None = None
    budget: Limits | None = None

    def __post_init__(self) -> None:
        pruners = [("pruner", pruner) for pruner in self.pruners]
        others = [("sampler", self.sampler), ("aggregator", self.aggregator), ("limit", self.budget)]
        for role, part in (*others, *pruners):
            declared = part.declared if isinstance(part, FunctionPart) else role_of(part)
            if declared not in (None, role):
                raise UsageError(f"{spelled(part)} has the role {declared!r}: it cannot be the {role} of a strategy")

    def check_against(self, setting: Setting, problems: Sequence[Problem]) -> None:
        """Raises ``UsageError``, one sentence, for anything known to fail before the first token is sampled."""
        check(self, setting, problems)

    async def solve(self, problem: Problem, setting: Setting, **terms: Unpack[SessionTerms]) -> Result:
        """Work on ``problem`` in a session of its own, under the strategy's pruners and its budget.

        Raises ``UsageError`` before anything is sampled if the strategy cannot work (see ``check_against``).
        """
        self.check_against(setting, (problem,))
        return await self.run(self.open(problem, setting, **terms))

    def open(self, problem: Problem, setting: Setting, **terms: Unpack[SessionTerms]) -> Session:
        """A session for this strategy to ``run`` in."""
        return Session(problem, self._thoughtful(setting), budget=self.budget, pruners=self.pruners, **terms)

    def _thoughtful(self, setting: Setting) -> Setting:
        """``setting`` with thinking switched on if the strategy limits it and a model's template has a switch."""
        budgets = [thought_of(part) for part in inside(self)]
        return setting.each(_switched_on) if any(b is not None and not b.leaves_out for b in budgets) else setting

    def within(self, budget: Limits | None) -> Strategy:
        """This strategy under another budget; unchanged if ``budget`` is None."""
        return self if budget is None else replace(self, budget=budget)

    async def run(self, session: Session) -> Result:
        """Work on the session's problem; a budget that runs out ends the sampling, not the strategy.

        Raises ``UsageError`` for a session that was not opened under the strategy's pruners and its budget.
        """
        try:
            election = await self.answer(session)
        finally:
            await session.settle()
        _note_closed(session)
        return Result.of(session, election)

    async def answer(self, session: Session) -> Answer:
        """Sample and choose an answer, in a session (or a view of one) that continues afterwards.

        Raises ``UsageError`` as ``run`` does.
        """
        self._check(session)
        session.heed(self.sampler, *self.pruners, self.aggregator)
        try:
            outcome = await self.sampler(session.by(model_of(self.sampler)))
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

    async def _settle(self, session: Session, outcome: SamplerResult) -> Answer:
        if isinstance(outcome, Answer):
            return _checked(outcome, "sampler", self.sampler)
        if isinstance(outcome, str):
            return Answer(outcome)
        if outcome is None:
            raise UsageError(
                f"{spelled(self.sampler)} returned nothing: it returns the traces to aggregate, an answer, or "
                "ww.Answer(None) where there is none"
            )
        if not _are_traces(outcome):
            raise ROLES["sampler"].mismatch(spelled(self.sampler), outcome)
        if self.aggregator is not None:
            try:
                answer = await self.aggregator(session.by(model_of(self.aggregator)), outcome)
            except BudgetReached:  # an aggregator that samples (a judge) falls back on the plain vote
                pass
            else:
                return _checked(answer, "aggregator", self.aggregator)
        return elect(await session.classes(outcome))

    def __str__(self) -> str:
        parts = [self.sampler, *self.pruners, self.budget, self.aggregator]
        return " | ".join(spelled(part) for part in parts if part is not None)

    def brief(self) -> str:
        """The strategy without default arguments."""
        parts = [self.sampler, *self.pruners, self.budget, self.aggregator]
        return " | ".join(spelled(part, brief=True) for part in parts if part is not None)

    def __or__(self, other: Any) -> Strategy:
        return compose(self, other)

    def __ror__(self, other: Any) -> Strategy:
        return compose(other, self)


def _switched_on(setting: Setting) -> Setting:
    off = {} if setting.thinking is None else setting.thinking.off
    if not off or not off.keys().isdisjoint(setting.chat.arguments):
        return setting
    return replace(setting, chat=setting.chat.changed(**{name: not value for name, value in off.items()}))


def _checked(answer: Any, role: str, part: Any) -> Answer:
    """What a part answered; ``UsageError`` for what is no ``Answer``, or one whose text is a trace, say."""
    if not isinstance(answer, Answer):
        raise ROLES[role].mismatch(spelled(part), answer)
    if not isinstance(answer.text, str | None):
        raise UsageError(
            f"{spelled(part)} returned an Answer whose text is {answer.text!r:.60} ({type(answer.text).__name__}): "
            "ww.Answer(text, trace) takes the answer as a text, and the trace that states it after it"
        )
    if not isinstance(answer.trace, Trace | None):
        raise UsageError(f"{spelled(part)} returned an Answer whose trace is {answer.trace!r:.60}: it must be a Trace")
    return answer


def _note_closed(session: Session) -> None:
    """Note how many traces did not end their thinking themselves."""
    leaves = session.leaves
    closed = sum(any(s.metadata.get("thought") in ("closed", "spent") for s in leaf.path) for leaf in leaves)
    if closed:
        session.note(session.root, f"the thinking of {closed} of {len(leaves)} traces was closed for them")


def compose(left: Any, right: Any) -> Strategy:
    """``left | right``: add a pruner, a budget or the aggregator to a sampler or an unfinished strategy.

    Raises ``UsageError`` where the parts do not fit together.
    """
    strategy = as_strategy(left)
    if strategy.aggregator is not None:
        raise UsageError(f"nothing can follow the aggregator {spelled(strategy.aggregator)}")
    match _role_after(right):
        case "limit" if strategy.budget is not None:
            raise UsageError("a strategy has one budget; put all its limits in one budget(...)")
        case "limit":
            return replace(strategy, budget=right)
        case "pruner":
            pruner: Any = FunctionPart(right) if inspect.isroutine(right) else right
            return replace(strategy, pruners=(*strategy.pruners, pruner))
        case "aggregator":
            return replace(strategy, aggregator=right)
    raise UsageError(f"{spelled(right)} is not a pruner, budget or aggregator; a sampler can only come first")


def as_strategy(part: Any) -> Strategy:
    """A strategy made from anything that can begin one: a strategy, a sampler, an ``async`` function of a session.

    Raises ``UsageError`` for anything else.
    """
    if isinstance(part, Strategy):
        return part
    role = _declared(part)
    if role is None and len(names := _open_arguments(part)) != 1:
        raise UsageError(f"{_taking(part, names)}, but a strategy begins with a sampler: {_SAMPLER}")
    if role not in (None, "sampler"):
        raise UsageError(f"{spelled(part)} cannot begin a strategy; begin with a sampler")
    return Strategy(part)


_SAMPLER = ROLES["sampler"].contract
_AFTER = {
    "aggregator": ["traces"],
    "pruner": ["live", "finished", "total"],
}
"""What a plain function after ``|`` takes besides the session."""


def _role_after(part: Any) -> str:
    """The role of what follows ``|``: the declared one, or that of a plain function by its parameters' names."""
    role = _declared(part)
    if role is not None:
        if role == "limit" and not isinstance(part, Limits):
            raise ROLES["limit"].mismatch(spelled(part), part)
        return role
    names = _open_arguments(part)
    for name, rest in _AFTER.items():
        if names[1:] == rest:
            return name
    raise UsageError(
        f"{_taking(part, names)}, but after | a plain async function takes (session, traces), an aggregator, or "
        "(session, live, finished, total), a pruner; declare any other role with @ww.register"
    )


def _declared(part: Any) -> str | None:
    """The role that a part was registered with or that its class declares; None for a plain function."""
    if inspect.isclass(part):
        raise UsageError(f"{path_of(part)} is a class: make a part of it with {path_of(part)}(...)")
    if isinstance(part, FunctionPart):
        return part.declared
    if isinstance(part, str):
        raise UsageError(
            f"{part!r:.60} is a text, and a strategy consists of parts: give the part itself, not a text that names it"
        )
    role = role_of(part)
    if role is None and not inspect.isroutine(part):
        raise UsageError(
            f"{_noun(part)} declares no role: put @ww.register('sampler') (or another role) before its class, or "
            "derive it from ww.Sampler, ww.Pruner, ww.Aggregator, ww.Selector or ww.Judge"
        )
    return role


def _open_arguments(function: Any) -> list[str]:
    """What a plain ``async`` function must be called with; ``UsageError`` for one that is not ``async``."""
    if isinstance(function, FunctionPart):
        return function.open
    if not inspect.iscoroutinefunction(function):
        raise UsageError(f"{spelled(function)} must be an `async def` function")
    return required(function)


def _noun(part: Any) -> str:
    """A value by its class; one of Python's own types by itself."""
    return path_of(type(part)) if type(part).__module__ != "builtins" else repr(part)[:60]


def _taking(part: Any, names: Sequence[str]) -> str:
    return f"{spelled(part)} takes ({', '.join(names)})"


def _are_traces(outcome: Any) -> TypeGuard[Sequence[Trace]]:
    return isinstance(outcome, Sequence) and all(isinstance(trace, Trace) for trace in outcome)
