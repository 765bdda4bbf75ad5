"""Samplers that work for other samplers: views of a session, questions about a task, limits, determinism."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from tests.samplers.talker import Talker, talk
from widthwise import (
    BestOfN,
    Budget,
    BudgetReached,
    MajorityVote,
    Outlined,
    ParallelDistillRefine,
    SequentialRefinement,
    Session,
    StopWhenDecided,
    Strategy,
    Trace,
    UsageError,
)
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.strategy.worker import delegate


def reply(prompt: str, index: int) -> str:
    if prompt.startswith("verify"):
        return "yes"
    if prompt.startswith("outlines"):
        return "1. one\n2. two"
    return "x" * (3 * index + 1) + f" = {index % 2}"


async def with_helpers(session: Session) -> list[Trace]:
    """Asks its own question several times, and continues from the answers."""
    first = await session.sample(session.ask("threads"), 2)
    second = await session.sample(session.ask("threads", after=first))
    return await session.sample(session.append(second[0], "\nso "), 2)


def tree(session: Session) -> dict[str, tuple[str, int | None, int]]:
    return {str(t.id): (t.completion, t.segment.seed, t.sequential) for t in session.traces.values()}


async def test_a_view_has_the_root_the_leaves_and_the_seeds_to_itself() -> None:
    session = talk(reply)
    question = session.ask("refine", drafts="d")
    one, other = session.at(question), session.at(question)
    assert one.root.token_ids.tolist() == question.token_ids.tolist()
    assert one.root.sequential == question.sequential
    mine, theirs = await BestOfN(2)(one), await BestOfN(3)(other)
    assert one.leaves == mine
    assert other.leaves == theirs
    assert session.leaves == [*mine, *theirs]
    assert len({session.seed("a"), one.seed("a"), other.seed("a")}) == 3
    assert one.ledger is session.ledger
    assert len({*(t.segment.seed for t in [*mine, *theirs])}) == 5
    inner = await BestOfN(1)(one.at(one.ask("refine", drafts="e")))
    assert one.leaves == [*mine, *inner]
    assert other.leaves == theirs


async def test_a_worker_that_asks_its_own_question_asks_it_about_the_task() -> None:
    backend = Talker(reply)
    await ParallelDistillRefine((2, 1), distill="random_k", worker=with_helpers)(talk(backend))
    first, second = (prompt for prompt in backend.begun("threads") if not prompt.endswith("so "))
    assert first == "threads 1+1?"
    assert second.startswith("threads refine 1+1? [1: ")
    assert backend.begun("refine") == []


async def test_judges_of_a_worker_see_the_bare_problem() -> None:
    backend = Talker(reply)

    async def judged(session: Session) -> list[Trace]:
        drafts = await session.sample(session.root, 2)
        await session.sample([session.ask("verify", draft=d.completion, after=[d]) for d in drafts], judging=True)
        return drafts

    await ParallelDistillRefine((2, 1), distill="random_k", worker=judged)(talk(backend))
    assert all(prompt.startswith("verify 1+1? x") for prompt in backend.begun("verify"))


async def test_a_refiner_takes_over_from_the_second_round_on() -> None:
    backend = Talker(reply)
    await SequentialRefinement(rounds=3, worker=with_helpers, refiner=BestOfN(1))(talk(backend))
    assert [prompt for prompt in backend.begun("threads") if not prompt.endswith("so ")] == ["threads 1+1?"]
    assert len(backend.begun("refine")) == 2


async def test_each_worker_settles_on_one_draft() -> None:
    backend = Talker(lambda p, i: "= 1" if i < 3 else "= 2")
    session = talk(backend)
    drafts = await delegate(session, BestOfN(5) | MajorityVote(), [session.root] * 2)
    assert [d.id if d else None for d in drafts] == [(0, 0, 0), (0, 1, 0)]
    silent = talk(lambda p, i: "hm")
    assert [d.completion for d in await delegate(silent, BestOfN(2), [silent.root]) if d] == ["hm\0"]


async def test_pruners_of_the_worker_act_on_its_draws_only() -> None:
    texts = ["= 1", "= 1", "= 2 " + "x" * 200]
    backend = Talker(lambda p, i: texts[i])
    session = talk(backend)
    await ParallelDistillRefine((2, 1), worker=BestOfN(3) | StopWhenDecided())(session)
    assert sorted(t.finish or "" for t in session.leaves if t.id[0] == 0) == ["pruned"] * 2 + ["stop"] * 4
    assert session.pruners == ()


COMPOSED: list[Callable[[Session], Awaitable[object]]] = [
    ParallelDistillRefine((3, 2), distill="random_k", k=2, worker=with_helpers),
    ParallelDistillRefine((3, 2), worker=ParallelDistillRefine((2, 2), distill="random_k", worker=with_helpers)),
    Outlined(4, free=1, worker=SequentialRefinement(rounds=2, chains=2, worker=with_helpers)),
]


@pytest.mark.parametrize("sampler", COMPOSED, ids=str)
async def test_what_workers_make_does_not_depend_on_timing(sampler: Callable[[Session], Awaitable[object]]) -> None:
    trees = []
    for seed in range(4):
        session = talk(Talker(reply, delays=random.Random(seed)))
        await sampler(session)
        trees.append(tree(session))
    assert trees.count(trees[0]) == 4
    deterministic = talk(reply)
    await sampler(deterministic)
    assert tree(deterministic) == trees[0]


@pytest.mark.parametrize("sampler", COMPOSED, ids=str)
@pytest.mark.parametrize("limit", [1, 10, 25, 60, 100, 150])
async def test_a_budget_ends_workers_and_what_they_wrote_is_aggregated(
    sampler: Callable[[Session], Awaitable[object]], limit: int
) -> None:
    budget = Budget(tokens=limit)
    session = talk(reply, budget=budget)
    result = await Strategy(sampler, aggregator=MajorityVote()).run(session)  # type: ignore[arg-type]
    assert limit - 14 < result.ledger.total < limit + 4
    assert sum(t.segment.finish == "budget" for t in session.traces.values()) <= 4
    assert (result.answer is not None) == any(session.answer(t) is not None for t in result.traces)


async def test_under_a_shared_limit_workers_of_a_deterministic_backend_take_turns() -> None:
    session = talk(lambda p, i: "abc = 1", budget=Budget(tokens=20))
    drafts = await delegate(session, BestOfN(1), [session.root] * 4)
    assert [d.finish if d else None for d in drafts] == ["stop", "stop", None, None]  # 16 of the 20 tokens
    with pytest.raises(BudgetReached):
        await delegate(session, BestOfN(1), [session.root])


@pytest.mark.parametrize("budget", [None, Budget(tokens=500)])
async def test_an_error_of_one_worker_ends_all(budget: Budget | None) -> None:
    async def broken(session: Session) -> list[Trace]:
        await session.sample(session.root)
        raise UsageError("no such thing")

    session = talk(reply, budget=budget)
    with pytest.raises(UsageError, match="no such thing"):
        await delegate(session, broken, [session.root] * 3)
    await session.settle()
    assert len(asyncio.all_tasks()) == 1


def test_composed_strategies_are_text_too() -> None:
    text = (
        "parallel_distill_refine(drafts=(4, 2), distill='top_k', by='mean_logprob', "
        "worker=outlined(n=3, worker=best_of_n(n=2) | stop_when_decided() | majority_vote()), refiner=single()) "
        "| budget(tokens=900) | majority_vote()"
    )
    strategy = parse_strategy(text)
    assert parse_strategy(str(strategy)) == strategy
    assert str(strategy.sampler).count("best_of_n(n=2)") == 1
    assert "worker=tests.samplers.test_workers:with_helpers" in str(Outlined(worker=with_helpers))
    with pytest.raises(UsageError, match="cannot begin a strategy"):
        parse_strategy("outlined(worker=majority_vote())")
