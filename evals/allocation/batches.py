"""Samples of one problem in the batches that rounds granted, and what an allocator may know of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from widthwise.core.answer import Answer, elect
from widthwise.core.errors import BudgetReached
from widthwise.core.scores.trace_score import trace_scores
from widthwise.core.session.session import Session
from widthwise.core.session.thought_budget import ThoughtBudget
from widthwise.core.session.voices import model_of
from widthwise.core.strategy.strategy import Aggregator, Strategy
from widthwise.core.trace.trace import Trace
from widthwise.evals.allocation.allocator import Allocator
from widthwise.evals.allocation.prospect import Prospect
from widthwise.evals.allocation.suite_budget import cannot_plan
from widthwise.evals.measure.estimators import NO_VOTE
from widthwise.pruning.stopping_rule import labelled
from widthwise.samplers.best_of_n import BestOfN


@dataclass(frozen=True, slots=True)
class Batches:
    """Draws ``sizes`` samples, one batch after another: the same samples as one draw of all, which began later.

    The first ``paid`` samples were bought in earlier rounds.
    """

    sampler: BestOfN
    sizes: tuple[int, ...]
    paid: int = 0

    names_model: ClassVar[bool] = True

    @property
    def model(self) -> str | None:
        return self.sampler.model

    @property
    def thought(self) -> ThoughtBudget | None:
        return self.sampler.thought

    async def __call__(self, session: Session) -> list[Trace]:
        session.prepay(self.paid)
        drawn: list[Trace] = []
        for size in self.sizes:
            drawn += await replace(self.sampler, n=size)(session)
        return drawn


class Observer:
    """An aggregator that notes how the problem stands, and answers as the allocator says, else as the strategy does.

    With ``instead``, this other strategy works next, and its answer replaces the vote of the samples. If its share of
    the tokens ends it, or it states no answer, the vote stands, with a note.
    """

    def __init__(
        self, aggregator: Aggregator | None, allocator: Allocator, score: str, instead: Strategy | None = None
    ) -> None:
        self._aggregator = aggregator
        self._allocator = allocator
        self._score = score
        self._instead = instead
        asked = [getattr(each, "logprobs", None) for each in (aggregator, *allocator.aggregators)]
        self.logprobs: int | None = max((each for each in asked if each is not None), default=None)
        self.prospect: Prospect | None = None

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        self.prospect = await self._noted(session, sorted(session.leaves, key=lambda trace: trace.id))
        aggregator = self._allocator.aggregator(self.prospect) or self._aggregator
        vote = await _vote(session, traces, aggregator)
        if self._instead is None:
            return vote
        answer = await _answer_of(self._instead, session)
        return vote if answer is None else answer

    async def _noted(self, session: Session, drawn: list[Trace]) -> Prospect:
        traces = [trace for trace in drawn if trace.finish in ("stop", "length")]
        labels = [NO_VOTE if label is None else label for label in await labelled(session, traces)]
        voting = [trace for trace, label in zip(traces, labels, strict=True) if label != NO_VOTE]
        known = dict(zip(voting, await trace_scores(session, voting, self._score) if self._score else (), strict=False))
        scores = [known.get(trace) for trace in traces]
        return Prospect(
            session.problem.id,
            np.array(labels, np.int64),
            np.array([np.nan if score is None else score for score in scores], np.float64),
            session.ledger.total,
            closed=len(traces) < len(drawn),
        )


async def _vote(session: Session, traces: Sequence[Trace], aggregator: Aggregator | None) -> Answer:
    if aggregator is None:
        return elect(await session.classes(traces))
    before = session.ledger.total
    answer = await aggregator(session.by(model_of(aggregator)), traces)
    if session.ledger.total > before:
        raise cannot_plan(aggregator)
    return answer


async def _answer_of(strategy: Strategy, session: Session) -> Answer | None:
    """What ``strategy`` answers beside the samples; None, with a note, without an answer of the whole strategy."""
    answer: Answer | None = None
    with suppress(BudgetReached):
        answer = await strategy.answer(session.at(session.root, pruners=strategy.pruners))
    if answer is None or session.limited:
        session.note(
            session.root, f"its share of the suite budget ended {strategy.brief()}: the vote of samples stands"
        )
        return None
    if answer.text is None:
        session.note(session.root, f"{strategy.brief()} states no answer: the vote of samples stands")
        return None
    return answer
