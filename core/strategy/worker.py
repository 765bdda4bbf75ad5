"""Samplers that work for each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from widthwise.core.errors import BudgetReached, UsageError
from widthwise.core.session.session import Session
from widthwise.core.strategy.strategy import Strategy, as_strategy
from widthwise.core.trace.trace import Trace, TraceId


async def delegate(session: Session, worker: Any, roots: Sequence[Trace]) -> list[Trace | None]:
    """One trace for each of ``roots`` (which may repeat a root), in their order.

    ``worker`` is a sampler or a strategy without a budget, which works at each root separately; its result is the trace
    that represents its answer, or the last trace if none states an answer. None draws a plain sample from each root,
    all in one draw. The result for a root is None if nothing was written before the budget was used up. Raises
    ``BudgetReached`` if that holds for all.
    """
    if worker is None:
        drawn: dict[TraceId, list[Trace]] = {}
        for trace in await session.sample(roots):
            drawn.setdefault(_stem(trace), []).append(trace)
        return [drawn[root.id].pop(0) if drawn.get(root.id) else None for root in roots]
    strategy = as_worker(worker)
    views = [session.at(root, pruners=strategy.pruners) for root in roots]
    answers = await session.together([strategy.answer(view) for view in views])
    traces = [a.trace or next(reversed(view.leaves), None) for a, view in zip(answers, views, strict=True)]
    if not any(traces):
        raise BudgetReached("the budget is used up")
    return traces


def _stem(trace: Trace) -> TraceId:
    return () if trace.stem is None else trace.stem.id


def as_worker(part: Any) -> Strategy:
    """A strategy that can work for another sampler; raises ``UsageError`` for anything else."""
    strategy = as_strategy(part)
    if strategy.budget is not None:
        raise UsageError(f"the worker {strategy} has a budget of its own; limits belong after the whole strategy")
    return strategy
