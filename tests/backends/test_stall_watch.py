"""An engine that is alive but answers no request is noticed; one that answers some, or has none, is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from widthwise.backends.vllm.stall_watch import StallWatch


async def _stuck() -> AsyncGenerator[int, None]:
    yield 1
    await asyncio.Event().wait()


async def test_a_stuck_engine_is_noticed_again_and_again() -> None:
    noticed: list[None] = []
    enough = asyncio.Event()

    def on_stall() -> None:
        noticed.append(None)
        if len(noticed) == 2:
            enough.set()

    watch = StallWatch(0.02, on_stall)
    watching = asyncio.create_task(watch.run())
    async with aclosing(watch.over(_stuck())) as outputs:  # type: ignore[type-var]
        assert await anext(outputs) == 1
        waiting = asyncio.create_task(anext(outputs))  # type: ignore[arg-type]
        await enough.wait()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    watching.cancel()


async def test_an_engine_that_nobody_waits_for_is_left_alone() -> None:
    noticed: list[None] = []
    watch = StallWatch(0.001, lambda: noticed.append(None))

    async def served() -> AsyncGenerator[int, None]:
        yield 1

    watching = asyncio.create_task(watch.run())
    assert [n async for n in watch.over(served())] == [1]
    await asyncio.sleep(0.05)
    watching.cancel()
    assert noticed == []
