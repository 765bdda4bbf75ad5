"""A strategy works under its own pruners and its own budget, or says that it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.core.scripted import PlainGrader, Scripted, session
from widthwise.aggregators.majority_vote import MajorityVote
from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.pruner import Decision
from widthwise.core.registry import register
from widthwise.core.session.limits import Limits
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.session import Session
from widthwise.core.session.setting import Setting
from widthwise.core.strategy.budget import Budget
from widthwise.core.strategy.part import Part
from widthwise.core.strategy.strategy import Strategy
from widthwise.core.trace.trace import Trace
from widthwise.samplers.best_of_n import BestOfN

PROBLEM = Problem("p1", "1+1?", "2")


@register("pruner", "no_fours_of_this_test")
@dataclass(frozen=True)
class NoFours(Part):
    """Stops every trace that contains a 4."""

    every: int = 1

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        return Decision(stop=frozenset(t.id for t in live if "4" in t.completion), reason="a four")


def setting(*texts: str) -> Setting:
    return Setting(Scheduler(Scripted(texts)), PlainGrader(), PromptFormat("plain"))


async def test_a_strategy_solves_under_its_pruners_and_its_budget() -> None:
    strategy = BestOfN(4) | NoFours() | Budget(samples=3) | MajorityVote()
    result = await strategy.solve(PROBLEM, setting("40 = 9", "= 1"))
    assert [t.finish for t in result.traces] == ["pruned", "stop", "pruned"]
    assert result.answer == "1"


async def test_another_budget_stands_in_for_its_own() -> None:
    strategy = BestOfN(4) | Budget(samples=3) | MajorityVote()
    assert len((await strategy.within(Limits(samples=2)).solve(PROBLEM, setting("= 1"))).traces) == 2
    assert len((await strategy.within(None).solve(PROBLEM, setting("= 1"))).traces) == 3


@pytest.mark.parametrize(
    ("strategy", "said"),
    [(BestOfN(2) | NoFours(), "NoFours(every=1)"), (BestOfN(2) | Budget(samples=1), "budget(samples=1)")],
)
async def test_a_session_that_would_ignore_a_part_of_the_strategy_is_refused(strategy: Strategy, said: str) -> None:
    backend = Scripted(["= 1"])
    for wrong in (session(backend), session(backend, budget=Limits(samples=9))):
        with pytest.raises(UsageError) as error:
            await strategy.run(wrong)
        assert said in str(error.value)
        assert "Strategy.solve" in str(error.value)
    assert backend.generated == 0


async def test_a_session_opened_alike_is_as_good_as_its_own() -> None:
    strategy = BestOfN(2) | NoFours() | Budget(samples=1)
    result = await strategy.run(session(Scripted(["= 1"]), pruners=[NoFours()], budget=Budget(samples=1)))
    assert result.answer == "1"


async def test_limits_that_say_the_same_are_the_same() -> None:
    strategy = BestOfN(2) | Budget(samples=1)
    assert (await strategy.run(session(Scripted(["= 1"]), budget=Limits(samples=1)))).answer == "1"


async def test_a_session_serves_once() -> None:
    strategy, served = BestOfN(2) | MajorityVote(), session(Scripted(["= 1"]))
    await strategy.run(served)
    with pytest.raises(UsageError, match="has ended"):
        await strategy.run(served)
    assert len(served.leaves) == served.ledger.samples == 2


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"sampler": MajorityVote()}, "role 'aggregator': it cannot be the sampler of a strategy"),
        ({"pruners": (MajorityVote(),)}, "role 'aggregator': it cannot be the pruner of a strategy"),
        ({"aggregator": BestOfN(2)}, "role 'sampler': it cannot be the aggregator of a strategy"),
        ({"budget": BestOfN(2)}, "role 'sampler': it cannot be the limit of a strategy"),
    ],
)
def test_a_part_in_the_place_of_another_is_refused(parts: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Strategy(**{"sampler": BestOfN(2), **parts})


async def no_part(session: Session) -> str:
    return str(session.budget.samples)


async def test_a_function_may_stand_before_a_budget() -> None:
    strategy = no_part | Budget(samples=7)
    assert (await strategy.solve(PROBLEM, setting("= 1"))).answer == "7"
    assert str(strategy) == "tests.core.test_strategy:no_part | budget(samples=7)"
    assert strategy.brief() == str(strategy)
