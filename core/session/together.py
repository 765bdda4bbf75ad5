"""Works that need not wait for each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from widthwise.core.trace.trace import Trace, TraceId

T = TypeVar("T")
Work = Callable[[Trace], Awaitable[T]]


async def together(works: Sequence[Coroutine[Any, Any, T]], *, in_turn: bool) -> list[T]:
    """The results of ``works``, in order; the first error ends all of them. ``in_turn`` is one after the other."""
    if in_turn:
        try:
            return [await work for work in works]
        finally:
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
    work: Work[T],
    until: Callable[[T], bool] | None,
    *,
    in_turn: bool,
) -> list[T]:
    """The results of ``work`` on each of ``traces``, begun as they come, in order of their ids.

    With ``until`` they are worked on one after the other, and the first result for which it is true is the last.
    """
    done: dict[TraceId, T] = {}

    async def do(trace: Trace) -> None:
        done[trace.id] = await work(trace)

    try:
        async with aclosing(traces), asyncio.TaskGroup() as group:  # type: ignore[type-var]
            async for trace in traces:
                if in_turn or until is not None:
                    await do(trace)
                else:
                    group.create_task(do(trace))
                if until is not None and until(done[trace.id]):
                    break
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [result for _, result in sorted(done.items(), key=lambda item: item[0])]
