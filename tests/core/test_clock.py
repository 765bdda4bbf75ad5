"""Times of tasks: what they saw, what the tasks they started saw, and which of these a draw has to wait for."""

from __future__ import annotations

import asyncio
import gc
from weakref import ref

from tests.core.scripted import Replying, Scripted, session
from widthwise.core.session.clock import Clock, Moment
from widthwise.core.session.limits import Limits
from widthwise.core.session.session import Session


async def test_a_task_knows_what_the_tasks_that_it_started_saw_once_they_are_done() -> None:
    clock = Clock()
    clock.advance(Moment(3))
    seen = []

    async def work(time: int) -> None:
        seen.append(clock.now.time)
        clock.advance(Moment(time))
        await asyncio.sleep(0)

    await asyncio.gather(work(10), work(7))
    assert seen == [3, 3]
    assert clock.now.time == 10


async def test_what_a_cancelled_task_saw_is_lost() -> None:
    clock = Clock()

    async def work() -> None:
        clock.advance(Moment(50))
        await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    assert clock.now.time == 0  # it is still working
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert clock.now.time == 0


async def test_two_sessions_in_one_task_have_times_of_their_own() -> None:
    one, other = Clock(), Clock()
    one.advance(Moment(5))
    other.advance(Moment(9))

    async def now() -> tuple[int, int]:
        return one.now.time, other.now.time

    assert await asyncio.create_task(now()) == (5, 9)


async def test_a_narrow_draw_waits_for_the_trace_that_left_the_place() -> None:
    backend = Scripted(["aaaa", "a", "aa", "aaaaaa"])  # 5, 2, 3 and 7 tokens with their end tokens
    s = session(backend)
    traces = await s.sample(s.root, 4, width=2)
    assert [t.sequential for t in traces] == [5, 2, 2 + 3, 5 + 7]
    assert [t.waited for t in traces][:2] == [None, None]
    assert {t.waited.trace for t in traces[2:] if t.waited} <= {(0, 0), (0, 1), (0, 2)}
    assert s.ledger.sequential == 12


async def test_what_is_asked_later_waits_for_all_that_was_seen_before() -> None:
    s = session(Replying(lambda prompt, _: "x" * 3 if "more" in prompt else "y" * 9))
    await s.sample(s.root)
    later = await s.sample(s.prompt([{"role": "user", "content": "more"}]))
    assert [t.sequential for t in later] == [14]
    assert later[0].waited is not None
    assert later[0].waited.tokens == 10


async def test_works_side_by_side_do_not_wait_for_each_other_and_their_starter_waits_for_both() -> None:
    for limit in (None, Limits(tokens=1000)):  # with a limit, they take turns on a deterministic backend
        s = session(Replying(lambda prompt, _: prompt[0] * int(prompt[1])), budget=limit)

        async def work(word: str, s: Session = s) -> int:
            [trace] = await s.sample(s.prompt([{"role": "user", "content": word}]))
            return trace.sequential

        assert await s.together([work("a7"), work("b4")]) == [8, 5]
        [last] = await s.sample(s.prompt([{"role": "user", "content": "c1"}]))
        assert last.sequential == 10


async def test_a_sequential_budget_binds_along_what_was_waited_for() -> None:
    s = session(Scripted(["a" * 9]), budget=Limits(sequential=25))
    traces = await s.sample(s.root, 10, width=1)
    assert [t.finish for t in traces] == ["stop", "stop", "budget"]
    assert [t.tokens for t in traces] == [10, 10, 5]
    assert s.ledger.sequential == 25
    assert s.ledger.samples == 3


async def test_sessions_one_after_the_other_leave_nothing_of_each_other() -> None:
    clocks = []
    for _ in range(5):
        s = session(Scripted(["a"]))
        await s.sample(s.root)
        clocks.append(ref(s._shared.clock))
    del s
    gc.collect()
    assert [clock() is not None for clock in clocks] == [False, False, False, False, True]  # the last is the task's own
