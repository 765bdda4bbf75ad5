"""Which traces a token limit buys: this depends on their lengths in order of launch, and on nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.core.scripted import Replying, Scripted, session
from widthwise import BestOfN, Budget, BudgetReached, MajorityVote, StopWhenDecided
from widthwise.core.pruner import GO_ON, Decision
from widthwise.core.session import launches
from widthwise.core.session.launches import bought
from widthwise.core.session.session import Session
from widthwise.core.strategy.part import Part


def by_hand(lengths: list[int], limit: int, paid: int = 0) -> tuple[int, int]:
    """How many traces begin, and how many of them finish, computed directly from the rule."""
    begun = spent = 0
    while (
        begun < len(lengths)
        and spent < limit
        and (not begun or begun < paid or spent + np.median(lengths[:begun]) <= limit)
    ):
        spent += lengths[begun]
        begun += 1
    return begun, begun - (spent > limit)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 300), st.integers(0, 30))
@example([38, 5, 5], 50, 2)
def test_the_traces_that_a_limit_buys(lengths: list[int], limit: int, paid: int) -> None:
    begun, whole = by_hand(lengths, limit, paid)
    found = bought(lengths, limit, paid=paid)
    assert (found.begun, found.whole) == (begun, whole)
    assert found.spent == min(sum(lengths[:begun]), limit)


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    limit=st.integers(1, 300),
    most=st.sampled_from([None, 40, 60]),
    width=st.integers(1, 12),
    deterministic=st.booleans(),
    every=st.sampled_from([None, 1, 7]),
    paid=st.integers(0, 12),
)
@example(lengths=[1, 40, 40], limit=62, most=40, width=3, deterministic=True, every=None, paid=0)
@example(lengths=[38, 5, 5], limit=50, most=None, width=3, deterministic=True, every=None, paid=2)
async def test_a_run_begins_these_and_no_others(
    lengths: list[int], limit: int, most: int | None, width: int, deterministic: bool, every: int | None, paid: int
) -> None:
    backend = Scripted(["x" * (n - 1) for n in lengths], deterministic=deterministic, most=most)
    s = session(backend, budget=Budget(tokens=limit), pruners=[Watchful(every)])
    s.prepay(paid)
    await (BestOfN(len(lengths), width=width) | MajorityVote()).run(s)
    begun, whole = by_hand(lengths, limit, paid)
    assert s.limited == (whole < len(lengths) or sum(lengths) == limit)
    assert [t.id for t in s.leaves] == [(0, i) for i in range(begun)]
    assert [t.finish for t in s.leaves] == ["stop"] * whole + ["budget"] * (begun - whole)
    assert s.ledger.sampled == backend.generated == min(sum(lengths[:begun]), limit)
    assert s.ledger.samples == begun
    if whole < begun:
        assert backend.requests[-1].params.max_tokens == limit - sum(lengths[:whole])


@dataclass(frozen=True)
class Watchful(Part):
    """Looks at the traces and prunes none."""

    every: int | None = None

    async def __call__(self, session: Session, live: object, finished: object, total: int) -> Decision:
        return GO_ON


@given(
    answers=st.lists(st.integers(1, 3), min_size=1, max_size=12),
    lengths=st.lists(st.integers(5, 40), min_size=12, max_size=12),
    limit=st.integers(1, 300),
    most=st.sampled_from([None, 46]),
)
async def test_a_rule_that_cannot_change_the_vote_does_not_change_it_at_any_budget(
    answers: list[int], lengths: list[int], limit: int, most: int | None
) -> None:
    said = ["x" * n + f" = {answer}" for n, answer in zip(lengths, answers, strict=False)]
    results = []
    for pruners in ([], [StopWhenDecided()]):
        s = session(Scripted(said, most=most), budget=Budget(tokens=limit), pruners=pruners)
        results.append((await (BestOfN(len(said)) | MajorityVote()).run(s)).answer)
    assert results[0] == results[1]


@pytest.mark.parametrize("deterministic", [True, False])
async def test_a_limit_that_cannot_bind_costs_nothing(deterministic: bool) -> None:
    free, limited = (
        session(Scripted(["a" * 30], deterministic=deterministic, most=40), budget=budget)
        for budget in (None, Budget(tokens=8 * 40))
    )
    for s in (free, limited):
        assert len(await s.sample(s.root, 8)) == 8
    assert limited.ledger.sequential == free.ledger.sequential == 31
    sizes = [{r.chunk for r in s._shared.setting.scheduler.backend.requests} for s in (free, limited)]  # type: ignore[attr-defined]
    assert sizes == [{16}, {16}]


async def test_one_that_was_held_back_waits_for_the_trace_that_showed_it_can_begin() -> None:
    # Two traces of at most 20 tokens fit into 50 at once; the third begins when the first has ended after 10.
    s = session(Scripted(["a" * 9, "a" * 14, "a" * 9, "a" * 9], most=20), budget=Budget(tokens=50))
    traces = await s.sample(s.root, 4)
    assert [t.sequential - t.tokens for t in traces[:2]] == [0, 0]
    third = traces[2]
    assert third.waited is not None
    assert third.waited.trace in {(0, 0), (0, 1)}
    assert third.sequential - third.tokens in {10, 15}


async def test_traces_that_nothing_bounds_go_one_after_the_other_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    launches._say_unbounded.cache_clear()
    s = session(Scripted(["a" * 9]), budget=Budget(tokens=1000))
    traces = await s.sample(s.root, 3)
    assert [t.sequential for t in traces] == [10, 20, 30]
    assert [r.message for r in caplog.records if "one after another" in r.message][1:] == []
    assert "--max-tokens" in caplog.text


async def test_a_further_draw_that_buys_nothing_says_so() -> None:
    s = session(Scripted(["a" * 9]), budget=Budget(tokens=25))
    assert len(await s.sample(s.root, 2)) == 2
    with pytest.raises(BudgetReached, match="25 tokens are not enough for another trace"):
        await s.sample(s.root)


async def test_pieces_of_traces_begin_as_they_come_and_are_seen_to_the_token() -> None:
    s = session(Replying(lambda prompt, index: "a" * 40), budget=Budget(tokens=50))
    steps = await s.sample(s.root, 4, stop="b")
    assert len(steps) == 4
    assert 50 <= s.ledger.sampled < 54
    assert {t.finish for t in steps} == {"budget"}


async def test_what_was_paid_before_begins_in_whichever_draw() -> None:
    """The first trace is long, and two further short ones would not fit beside another like it."""
    s = session(Scripted(["x" * 37, "x" * 4, "x" * 4]), budget=Budget(tokens=50))
    s.prepay(2)
    drawn = [*await s.sample(s.root), *await s.sample(s.root)]
    assert [(trace.finish, trace.tokens) for trace in drawn] == [("stop", 38), ("stop", 5)]
    assert not s.limited
    with pytest.raises(BudgetReached):
        await s.sample(s.root)
    assert s.limited
