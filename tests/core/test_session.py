"""Sessions: the trace tree, draws, limits, the ledger."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.core.scripted import Scripted, session
from widthwise import BackendError, BestOfN, Budget, BudgetReached, MajorityVote, StopWhenDecided, UsageError
from widthwise.core.backend import Usage
from widthwise.core.pruner import GO_ON, Decision
from widthwise.core.session.session import Session
from widthwise.core.strategy.part import Part
from widthwise.core.strategy.strategy import Strategy
from widthwise.core.trace.trace import Trace

TEXTS = ["so = 2", "I think it is = 3", "hm = 2.0", "no idea at all"]


@dataclass(frozen=True)
class Watchful(Part):
    """Asks to see every token, so that deltas are one token long; prunes nothing."""

    every: int | None = 1

    async def __call__(self, session: Session, live: object, finished: object, total: int) -> Decision:
        return GO_ON


BOTH = pytest.mark.parametrize("deterministic", [True, False])


@BOTH
async def test_samples_are_children_of_the_root_with_what_was_sampled(deterministic: bool) -> None:
    s = session(Scripted(TEXTS, deterministic=deterministic))
    traces = await s.sample(s.root, 4)
    assert [t.id for t in traces] == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert [t.completion for t in traces] == [text + "\0" for text in TEXTS]
    assert [t.finish for t in traces] == ["stop"] * 4
    assert [t.sequential for t in traces] == [len(text) + 1 for text in TEXTS]
    assert np.array_equal(traces[0].token_ids, [*s.root.token_ids, *map(ord, "so = 2\0")])
    assert [c.answer for c in await s.classes(traces)] == ["2", "3"]
    assert s.ledger.sampled == sum(len(text) + 1 for text in TEXTS)
    assert s.ledger.discarded == 0
    assert s.ledger.prompt_computed == 4 * len(s.root.token_ids)
    assert s.ledger.prompt_ideal == len(s.root.token_ids)
    assert s.ledger.sequential == max(len(text) + 1 for text in TEXTS)
    assert s.ledger.samples == 4
    assert s.leaves == traces
    assert pickle.loads(pickle.dumps(traces[1])).completion == traces[1].completion


@pytest.mark.parametrize("n", [100_001, 10**30])
async def test_more_traces_than_memory_holds_are_refused_and_a_limit_lets_them_be(n: int) -> None:
    s = session(Scripted(TEXTS))
    with pytest.raises(UsageError, match=f"one draw has at most 100,000 traces, not {n:,}: lower n"):
        await s.sample(s.root, n)
    s = session(Scripted(TEXTS), budget=Budget(samples=3))
    assert len(await s.sample(s.root, n)) == 3


async def test_seeds_follow_from_the_place_in_the_tree_and_the_run() -> None:
    backend, other = Scripted(TEXTS), Scripted(TEXTS)
    a, b = session(backend), session(other, seed=1)
    await a.sample(a.root, 3)
    first = [r.seed for r in backend.requests]
    await b.sample(b.root, 3)
    assert len({*first, *(r.seed for r in other.requests)}) == 6
    again = Scripted(TEXTS)
    c = session(again)
    await asyncio.gather(c.sample(c.root, 1), c.sample(c.root, 2))
    assert [r.seed for r in sorted(again.requests, key=lambda r: r.index)] == first


@BOTH
async def test_a_stream_yields_as_traces_finish_and_leaving_it_aborts_the_rest(deterministic: bool) -> None:
    backend = Scripted(TEXTS, deterministic=deterministic)
    s = session(backend, pruners=[Watchful()])
    async with aclosing(s.stream(s.root, 4)) as stream:
        async for trace in stream:
            assert trace.completion == "so = 2\0"
            break
    await s.settle()
    assert backend.closed == 4
    assert s.ledger.sampled == backend.generated < 50
    kept = sum(t.tokens for t in s.leaves)
    assert kept == s.ledger.sampled
    assert s.ledger.discarded == kept - 7
    assert {t.finish for t in s.leaves} == {"stop", "aborted"}


async def test_a_prompt_is_charged_though_its_request_was_aborted_before_the_backend_said_so() -> None:
    class Late(Scripted):
        """Reports its usage only with the last delta, as servers do."""

        async def generate(self, request):  # type: ignore[no-untyped-def]
            async with aclosing(super().generate(request)) as deltas:
                async for delta in deltas:
                    yield replace(delta, usage=Usage(1, 4) if delta.finish else None)

    s = session(Late(TEXTS), pruners=[Watchful()])
    async with aclosing(s.stream(s.root, 4)) as stream:
        async for _ in stream:
            break
    assert (s.ledger.prompt_cached, s.ledger.prompt_computed) == (1, 4 + 3 * len(s.root.token_ids))


@BOTH
async def test_a_cancelled_strategy_is_charged_for_all_that_was_sampled(deterministic: bool) -> None:
    """At any time of cancellation, even in the middle of a deterministic backend's round."""

    class Uneven(Scripted):
        """Later siblings take more turns of the event loop per token."""

        async def generate(self, request):  # type: ignore[no-untyped-def]
            async with aclosing(super().generate(request)) as deltas:
                async for delta in deltas:
                    yield delta
                    for _ in range(request.index):
                        await asyncio.sleep(0)

    for turns in range(1, 60):
        backend = Uneven(TEXTS, deterministic=deterministic)
        s = session(backend, pruners=[Watchful()])
        work = asyncio.create_task(Strategy(BestOfN(4)).run(s))
        for _ in range(turns):
            await asyncio.sleep(0)
        work.cancel()
        await asyncio.wait([work])
        assert s.ledger.sampled == backend.generated
        assert backend.closed == len(backend.requests)


class Hidden(BaseException):
    """No ``Exception``, as what ends a program is none."""


class Breaking(Scripted):
    """The second sample's request raises ``error`` after its first token."""

    def __init__(self, error: BaseException, *, deterministic: bool) -> None:
        super().__init__(TEXTS, deterministic=deterministic)
        self.error = error

    async def generate(self, request):  # type: ignore[no-untyped-def]
        async with aclosing(super().generate(request)) as deltas:
            async for delta in deltas:
                yield delta
                if request.index == 1:
                    raise self.error


@BOTH
async def test_a_request_that_was_cancelled_by_its_backend_fails_alone(deterministic: bool) -> None:
    s = session(Breaking(asyncio.CancelledError(), deterministic=deterministic), pruners=[Watchful()])
    traces = await asyncio.wait_for(s.sample(s.root, 4), 300)
    assert [t.finish for t in traces] == ["stop", "error", "stop", "stop"]
    result = await Strategy(BestOfN(2)).run(session(Breaking(asyncio.CancelledError(), deterministic=deterministic)))
    assert any("was cancelled, but not by the strategy" in error for error in result.errors)


@BOTH
async def test_what_is_no_exception_reaches_whoever_waits(deterministic: bool) -> None:
    s = session(Breaking(Hidden(), deterministic=deterministic), pruners=[Watchful()])
    with pytest.raises(Hidden):
        await asyncio.wait_for(s.sample(s.root, 4), 300)


@BOTH
async def test_whoever_cancels_all_tasks_leaves_nobody_waiting(deterministic: bool) -> None:
    """Before the first step of a request's task and later."""
    for turns in range(1, 12):
        s = session(Scripted(TEXTS, deterministic=deterministic), pruners=[Watchful()])
        work = asyncio.create_task(s.sample(s.root, 4))
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in asyncio.all_tasks() - {work, asyncio.current_task()}:
            task.cancel()
        await asyncio.wait_for(work, 300)
        assert "error" in {t.finish for t in s.leaves} or turns == 1


async def test_breaking_out_of_a_stream_without_closing_it_loses_nothing_either() -> None:
    backend = Scripted(TEXTS)
    s = session(backend)
    async for _ in s.stream(s.root, 4):
        break
    await s.settle()
    assert backend.closed == 4
    assert s.ledger.sampled == backend.generated


@BOTH
async def test_a_token_budget_ends_all_traces_within_one_step(deterministic: bool) -> None:
    backend = Scripted(["a" * 100], deterministic=deterministic)
    s = session(backend, budget=Budget(tokens=50))
    traces = await s.sample(s.root, 8)
    assert 50 <= s.ledger.sampled < 50 + 8
    assert s.ledger.sampled == backend.generated
    assert {t.finish for t in traces} == {"budget"}
    with pytest.raises(BudgetReached):
        await s.sample(s.root)


async def test_a_sequential_budget_cuts_each_trace() -> None:
    s = session(Scripted(["abc = 1"]), budget=Budget(sequential=5))
    [cut] = await s.sample(s.root)
    assert (cut.completion, cut.finish, cut.sequential) == ("abc =", "budget", 5)
    with pytest.raises(BudgetReached):
        await s.sample(cut)


async def test_a_sample_budget_shortens_the_draw() -> None:
    s = session(Scripted(TEXTS), budget=Budget(samples=3))
    assert len(await s.sample(s.root, 2)) == 2
    assert len(await s.sample(s.root, 2)) == 1
    with pytest.raises(BudgetReached):
        await s.sample(s.root)


async def test_a_budget_of_seconds_stops_a_backend_that_says_nothing() -> None:
    class Silent(Scripted):
        async def generate(self, request):  # type: ignore[no-untyped-def]
            await asyncio.sleep(1000)
            yield

    s = session(Silent([""], deterministic=False), budget=Budget(seconds=0.05))
    assert await asyncio.wait_for(s.sample(s.root, 2), 300) == []
    with pytest.raises(BudgetReached):
        await s.sample(s.root)


async def test_a_strategy_whose_budget_runs_out_still_answers() -> None:
    async def greedy(session: Session) -> list[Trace]:
        while True:
            await session.sample(session.root)

    s = session(Scripted(["= 7"]), budget=Budget(tokens=12))
    result = await (Strategy(greedy) | MajorityVote()).run(s)
    assert result.answer == "7"
    assert result.ledger.sampled == 12


async def test_at_most_width_branches_of_a_draw_are_in_flight() -> None:
    backend = Scripted(TEXTS)
    s = session(backend, width=2)
    alive = 0
    async for _ in s.stream(s.root, 9):
        alive = max(alive, len(backend.requests) - backend.closed)
    assert alive <= 2
    assert len(backend.requests) == 9


async def test_insertions_and_joins_carry_the_critical_path() -> None:
    s = session(Scripted(TEXTS))
    short, long = await s.sample(s.root, 2)
    joined = s.append(short, "Joined: ", after=[long])
    assert joined.sequential == long.sequential
    assert joined.completion == short.completion + "Joined: "
    other = s.prompt([{"role": "user", "content": "judge"}], after=[short, long])
    assert (other.id, other.sequential) == ((1,), long.sequential)
    [verdict] = await s.sample(other, judging=True)
    assert s.ledger.judging == verdict.tokens
    assert verdict.sequential == long.sequential + verdict.tokens
    assert s.ledger.sampled == short.tokens + long.tokens


async def test_stop_strings_end_a_step_and_the_next_continues_the_same_text() -> None:
    s = session(Scripted(["one\n\ntwo = 2"]))
    [step] = await s.sample(s.root, stop="e")
    assert (step.completion, step.finish, step.segment.reason) == ("one", "stop", "e")
    [rest] = await s.sample(step)
    assert rest.completion.startswith("one")


async def test_wrong_sampling_parameters_are_one_sentence() -> None:
    s = session(Scripted(TEXTS))
    with pytest.raises(UsageError, match="temprature"):
        await s.sample(s.root, temprature=1)
    with pytest.raises(UsageError, match="top_p"):
        await s.sample(s.root, top_p=3)
    with pytest.raises(UsageError, match="n must be"):
        await s.sample(s.root, 0)


# -- failures ----------------------------------------------------------------------------------------------


async def test_a_failed_request_is_continued_and_every_token_counted_once() -> None:
    fault = BackendError("reset", retryable=True)
    backend = Scripted(["abcdef = 12"], faults={0: (2, fault), 1: (1, fault)})
    s = session(backend, pruners=[Watchful()])
    [trace] = await s.sample(s.root)
    assert trace.completion == "abcdef = 12\0"
    assert s.ledger.sampled == backend.generated == trace.tokens == 12
    assert s.ledger.retries == 2
    assert [len(r.prompt) for r in backend.requests] == [5, 7, 8]


@pytest.mark.parametrize("delivered", [[4], [2, 2]])
async def test_a_stop_string_across_a_failure_still_stops(delivered: list[int]) -> None:
    fault = BackendError("reset", retryable=True)
    faults = {attempt: (tokens, fault) for attempt, tokens in enumerate(delivered)}
    backend = Scripted(["one##two"], faults=faults)  # the last fault strikes between the two marks
    s = session(backend, budget=Budget(tokens=1000))
    [step] = await s.sample(s.root, stop="##")
    assert (step.completion, step.finish, step.segment.reason) == ("one##", "stop", "##")
    assert s.ledger.sampled == step.tokens == 5


async def test_a_failure_after_the_last_token_is_no_failure() -> None:
    class Cut(Scripted):
        async def generate(self, request):  # type: ignore[no-untyped-def]
            async for delta in super().generate(request):
                if delta.finish is not None:
                    yield type(delta)(delta.token_ids, delta.stats)
                    raise BackendError("cut off", retryable=True)
                yield delta

    s = session(Cut(TEXTS))
    [stopped] = await s.sample(s.root)
    assert (stopped.completion, stopped.finish) == ("so = 2\0", "stop")
    [full] = await s.sample(s.root, max_tokens=4)
    assert (full.tokens, full.finish) == (4, "length")


async def test_a_request_that_fails_for_good_is_an_error_on_its_trace_only() -> None:
    backend = Scripted(TEXTS, faults={1: (1, BackendError("no such luck"))})
    s = session(backend)
    result = await (BestOfN(4) | MajorityVote()).run(s)
    assert result.answer == "2"
    assert result.errors == ("no such luck",)
    assert [t.finish for t in result.traces] == ["stop", "error", "stop", "stop"]


async def test_attempts_are_bounded() -> None:
    fault = BackendError("down", retryable=True)
    backend = Scripted(TEXTS, faults=dict.fromkeys(range(50), (0, fault)))
    s = session(backend, attempts=4)
    [trace] = await s.sample(s.root)
    assert trace.finish == "error"
    assert len(backend.requests) == 4


# -- pruners -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CutAt(Part):
    """Stops branch 1 once the longest trace has reached a given length."""

    every: int = 3

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        if not any(t.id == (0, 1) for t in live):
            return GO_ON
        return Decision(stop=frozenset({(0, 1)}), reason="enough of it")


async def test_a_pruned_trace_keeps_its_text_and_its_reason_but_not_its_vote() -> None:
    backend = Scripted(["= 1", "= 2 = 2 = 2 = 2", "= 1 = 1 = 1"])
    s = session(backend, pruners=[CutAt()])
    result = await (BestOfN(3) | MajorityVote()).run(s)
    pruned = result.traces[1]
    assert (pruned.finish, pruned.segment.reason, pruned.completion) == ("pruned", "enough of it", "= 2")
    assert s.answer(pruned) is None
    assert result.ledger.discarded == 3
    assert result.ledger.sampled == backend.generated


async def test_stopping_when_decided_gives_the_full_vote_for_less() -> None:
    texts = ["= 1", "= 1", "= 1", "= 2 " + "x" * 200, "= 2 " + "x" * 200]
    full, early = session(Scripted(texts)), session(Scripted(texts), pruners=[StopWhenDecided()])
    strategy = BestOfN(5) | MajorityVote()
    everything, less = await strategy.run(full), await strategy.run(early)
    assert everything.answer == less.answer == "1"
    assert less.ledger.sampled < everything.ledger.sampled / 2
    assert less.ledger.discarded == sum(t.tokens for t in less.traces if t.finish == "pruned") > 0
    assert "decided" in str(less.traces[-1].segment.reason)


async def test_a_decision_between_two_waves_begins_no_further_trace() -> None:
    backend = Scripted(["= 1"] * 32)
    s = session(backend, pruners=[StopWhenDecided()])
    result = await (BestOfN(32, width=4) | MajorityVote()).run(s)
    assert result.answer == "1"
    assert len(backend.requests) == len(result.traces) == result.ledger.samples == 20  # 17 decide, in waves of 4


async def test_a_pruned_trace_is_not_waited_for() -> None:
    texts = ["= 1", "= 2 = 2 = 2 = 2", "= 1", "= 3 " + "x" * 50]
    s = session(Scripted(texts), pruners=[CutAt(), StopWhenDecided()])
    result = await (BestOfN(4) | MajorityVote()).run(s)
    assert [t.finish for t in result.traces] == ["stop", "pruned", "stop", "pruned"]
    assert result.traces[3].tokens < 10


async def test_nothing_is_decided_while_the_rest_could_turn_it() -> None:
    texts = ["= 1", "= 1", "= 2 " + "x" * 50, "= 2 " + "x" * 50]
    s = session(Scripted(texts), pruners=[StopWhenDecided()])
    result = await (BestOfN(4) | MajorityVote()).run(s)
    assert result.election.tied
    assert result.ledger.discarded == 0
