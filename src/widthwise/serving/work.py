"""A request made ready: its strategy, its problem and its setting, as ``eval`` and ``solve`` would have them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace

from widthwise.core.problem import EARLIER, Problem
from widthwise.core.session.journal import Journal
from widthwise.core.session.limits import Limits
from widthwise.core.session.session import Session
from widthwise.core.session.setting import Setting
from widthwise.core.strategy.strategy import Strategy
from widthwise.engines import Engines
from widthwise.evaluation import Evaluation
from widthwise.serving.query import Query, beyond, within
from widthwise.serving.refusal import Refusal

PROBLEM = "problem"
"""The id of a problem that was given none, here and in ``solve``."""

_SEEDS = 2**53
"""Every JSON reader can read back a seed below this exactly."""


@dataclass(frozen=True, slots=True)
class Work:
    """The work for ``query``: ``strategy``, under its budget, on ``problem`` in ``setting``."""

    query: Query
    strategy: Strategy
    problem: Problem
    setting: Setting

    @classmethod
    def of(
        cls,
        query: Query,
        strategy: Strategy,
        base: Evaluation,
        engines: Engines,
        *,
        known: Mapping[str, Problem],
        most: Limits,
    ) -> Work:
        """``base`` has the default settings of requests, ``known`` the problems by id.

        Raises ``Refusal`` for what the request may not ask, and ``UsageError`` for what cannot work.
        """
        if (limit := beyond(query.budget, most)) is not None:
            raise _refused(f"widthwise.budget.{limit}", f"may be {getattr(most, limit)} at most here")
        settings = base.settings
        asking = replace(settings.asking, given={**settings.asking.given, **query.sampling})
        seed = secrets.randbelow(_SEEDS) if query.seed is None else query.seed
        own = replace(settings, strategy=strategy, asking=asking, seed=seed, budget=None).within(query.budget)
        evaluation = replace(base, settings=replace(own, budget=_some(within(own.budget or Limits(), most))))
        work = cls(query, evaluation.strategy, _problem(query, known), evaluation.setting(engines))
        work.strategy.check_against(work.setting, (work.problem,))
        return work

    def open(self, journal: Journal | None = None) -> Session:
        """A session to run the strategy in; raises ``Refusal`` for a question that leaves no room in the context."""
        session = self.strategy.open(self.problem, self.setting, journal=journal)
        room, length = self.setting.backend.max_model_len, len(session.root.token_ids)
        if room is not None and length >= room:
            message = f"the question has {length} tokens and leaves no room for an answer in the model's {room}"
            raise Refusal(400, message, param="messages", code="context_length_exceeded")
        return session


def _problem(query: Query, known: Mapping[str, Problem]) -> Problem:
    """The problem that the conversation ends with; if its id is known, with everything known about it."""
    chat, named = query.chat, query.problem
    problem = Problem(named or PROBLEM, chat.text) if named is None or named not in known else known[named]
    if problem.text.strip() != chat.text.strip():
        why = f"is {named}, whose text is another than the question; leave the id out, or ask that problem"
        raise _refused("metadata.problem", why)
    return replace(problem, metadata={**problem.metadata, EARLIER: chat.earlier}) if chat.earlier else problem


def _some(limits: Limits) -> Limits | None:
    return None if limits == Limits() else limits


def _refused(param: str, why: str) -> Refusal:
    return Refusal(400, f"{param} {why}", param=param)
