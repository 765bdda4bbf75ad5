"""Works that need not wait for each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from widthwise.core.session.clock import Clock, Moment, latest
from widthwise.core.trace.trace import Trace, TraceId

T = TypeVar("T")
TraceWork = Callable[[Trace], Awaitable[T]]


async def together(works: Sequence[Coroutine[Any, Any, T]], clock: Clock, *, in_turn: bool) -> list[T]:
    """The results of ``works``, in order; the first error ends all of them.

    With ``in_turn`` they run one after another, but by ``clock`` they begin together: none needs another's result.
    """
    if in_turn:
        turns = _Turns(clock)
        try:
            return [await turns.take(work, turns.begun) for work in works]
        finally:
            turns.end()
            for work in works:
                work.close()
    tasks = [asyncio.create_task(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def follow(
    traces: AsyncIterator[Trace],
    work: TraceWork[T],
    until: Callable[[T], bool] | None,
    clock: Clock,
    *,
    in_turn: bool,
) -> list[T]:
    """The results of ``work`` on each of ``traces``, begun as they come, in order of their ids.

    With ``until`` they are worked on one after another, and the first result for which it is true is the last.
    """
    done: dict[TraceId, T] = {}
    turns = _Turns(clock)

    async def do(trace: Trace) -> None:
        clock.set(latest((turns.begun, Moment.of(trace))))
        done[trace.id] = await work(trace)

    try:
        async with aclosing(traces), asyncio.TaskGroup() as group:  # type: ignore[type-var]
            async for trace in traces:
                if until is not None:
                    done[trace.id] = await work(trace)
                elif in_turn:
                    await turns.take(do(trace), clock.now)
                else:
                    group.create_task(do(trace))
                if until is not None and until(done[trace.id]):
                    break
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    finally:
        turns.end()
    return [result for _, result in sorted(done.items(), key=lambda item: item[0])]


class _Turns:
    """Works that one task does one after another, though each begins at its own moment."""

    def __init__(self, clock: Clock) -> None:
        self.begun = clock.now
        self._clock = clock
        self._ends: list[Moment] = []

    async def take(self, work: Awaitable[T], begins: Moment) -> T:
        """The result of ``work``, begun at ``begins``; afterwards the task's time is what it was before."""
        before = self._clock.now
        self._clock.set(begins)
        try:
            return await work
        finally:
            self._ends.append(self._clock.now)
            self._clock.set(before)

    def end(self) -> None:
        """The task has seen the results of all the works."""
        self._clock.advance(latest(self._ends))
