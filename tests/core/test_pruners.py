"""What pruners may do in a draw: weight votes, sample, keep state, warm up, ask for log-probabilities."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from tests.core.scripted import Scripted, session
from widthwise import (
    ESC,
    AdaptiveConsistency,
    Anytime,
    BestOfN,
    BordaVote,
    Budget,
    MajorityVote,
    Short,
    StopWhenDecided,
    UsageError,
    WeightedVote,
)
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.pruner import GO_ON, Decision
from widthwise.core.session.session import Session
from widthwise.core.strategy.part import Part
from widthwise.core.strategy.strategy import Strategy
from widthwise.core.trace.trace import Trace, TraceId

BOTH = pytest.mark.parametrize("deterministic", [True, False])


@dataclass(frozen=True)
class Weighing(Part):
    """Gives a weight to the traces with some ids."""

    weights: dict[TraceId, float]
    every: int | None = None

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        return Decision(votes={t.id: self.weights[t.id] for t in finished if t.id in self.weights})


async def test_votes_count_as_much_as_pruners_say() -> None:
    texts = ["= 1", "= 1", "= 2 = 2"]
    s = session(Scripted(texts), pruners=[Weighing({(0, 2): 2.5})])
    result = await (BestOfN(3) | MajorityVote()).run(s)
    assert result.answer == "2"  # the last trace to finish is weighted too
    assert [c.weight for c in result.election.classes] == [2.5, 2.0]


async def test_what_several_pruners_say_is_multiplied_and_nothing_is_no_vote() -> None:
    first, second = Weighing({(0, 0): 3.0, (0, 1): 0.0}), Weighing({(0, 0): 0.5, (0, 1): 4.0})
    s = session(Scripted(["= 1", "= 2", "= 3"]), pruners=[first, second])
    result = await (BestOfN(3) | MajorityVote()).run(s)
    assert [(c.answer, c.weight) for c in result.election.classes] == [("1", 1.5), ("3", 1.0)]
    assert s.answer(result.traces[1]) is None


@pytest.mark.parametrize("vote", [WeightedVote(weight="equal"), BordaVote(by="mean_logprob", p=0.0)], ids=str)
async def test_a_weight_is_a_factor_of_votes_that_are_weighted_anyway(vote: Part) -> None:
    s = session(Scripted(["= 1", "= 1", "= 2"]), pruners=[Weighing({(0, 2): 2.5})])
    result = await (BestOfN(3) | vote).run(s)
    assert [(c.answer, c.weight) for c in result.election.classes] == [("2", 2.5), ("1", 2.0)]


@dataclass(frozen=True)
class Asking(Part):
    """Asks a judge at every checkpoint, and ignores its replies."""

    every: int | None = 4
    asked: list[int] = field(default_factory=list)

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        self.asked.append(len(live) + len(finished))
        replies = await session.sample([session.conclude(t) for t in live], judging=True, max_tokens=3)
        assert len(replies) == len(live)
        return GO_ON


@BOTH
async def test_a_pruner_may_sample_and_its_draws_are_nobodys_to_prune(deterministic: bool) -> None:
    pruner = Asking()
    s = session(
        Scripted(["so = 2", "I think it is = 3"], deterministic=deterministic),
        pruners=[pruner],
        format=PromptFormat("plain", answer_now="\n"),
    )
    result = await (BestOfN(2) | MajorityVote()).run(s)
    assert set(pruner.asked) <= {1, 2}
    assert result.ledger.judging > 0
    assert result.ledger.samples == 2
    assert result.ledger.sampled == sum(t.tokens for t in result.traces)
    assert [t.completion for t in result.traces] == ["so = 2\0", "I think it is = 3\0"]


async def test_a_budget_that_judges_use_up_ends_the_draw_like_any_other() -> None:
    s = session(
        Scripted(["x" * 50 + "= 2"] * 4),
        pruners=[Asking(every=1)],
        budget=Budget(tokens=60),
        format=PromptFormat("plain", answer_now="\n"),
    )
    result = await (BestOfN(4) | MajorityVote()).run(s)
    assert {t.finish for t in result.traces} == {"budget"}
    assert 60 <= result.ledger.total < 60 + 12


@dataclass(frozen=True)
class Warming(Part):
    warmup: int = 3

    @property
    def every(self) -> int | None:
        return None

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        assert len(live) + len(finished) <= 3 or len(finished) >= 3
        return GO_ON


@BOTH
@pytest.mark.parametrize("width", [None, 2])
async def test_the_warm_up_ends_before_anything_else_begins(deterministic: bool, width: int | None) -> None:
    texts = ["x" * 9 + "= 1", "= 1", "= 1", "= 2", "= 2", "= 3"]
    s = session(Scripted(texts, deterministic=deterministic), pruners=[Warming()])
    result = await (BestOfN(6, width=width) | MajorityVote()).run(s)
    assert len(result.traces) == 6


class Counting(Part):
    """Keeps state: there is one pruner per draw."""

    def __init__(self) -> None:
        self.begun: list[Counting] = []
        self.calls = 0

    @property
    def every(self) -> int | None:
        return None

    def begin(self) -> Counting:
        self.begun.append(Counting())
        return self.begun[-1]

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        self.calls += 1
        return GO_ON


async def test_each_draw_has_its_own_pruner() -> None:
    counting = Counting()
    s = session(Scripted(["= 1", "x" * 20 + "= 2"]), pruners=[counting])
    await asyncio.gather(s.sample(s.root, 2), s.sample(s.root, 1))
    assert counting.calls == 0
    assert [c.calls for c in counting.begun] == [2, 1]


@dataclass(frozen=True)
class Looking(Weighing):
    weights: dict[TraceId, float] = field(default_factory=dict)
    logprobs: int = 5


async def test_parts_ask_for_log_probabilities_and_judges_need_not_have_them() -> None:
    backend = Scripted(["= 1"], max_logprobs=8)
    s = session(backend, pruners=[Looking()])
    await s.sample(s.root)
    await s.sample(s.root, logprobs=2)
    await s.sample(s.root, logprobs=7)
    await s.sample(s.root, judging=True)
    assert [r.params.logprobs for r in backend.requests] == [5, 5, 7, 0]


async def test_an_aggregator_may_ask_too() -> None:
    @dataclass(frozen=True)
    class Reading(MajorityVote):
        logprobs: int = 3

    backend = Scripted(["= 1"], max_logprobs=8)
    await (BestOfN(1) | Reading()).run(session(backend))
    assert [r.params.logprobs for r in backend.requests] == [3]


async def test_a_backend_that_gives_too_few_is_named() -> None:
    s = session(Scripted(["= 1"]), pruners=[Looking()])
    with pytest.raises(
        UsageError, match="needs the log-probabilities of the 5 most likely tokens, but scripted gives none"
    ):
        await s.sample(s.root)


# -- aborting ------------------------------------------------------------------------------------------------

RULES = [StopWhenDecided(), ESC(window=3), AdaptiveConsistency(0.9), Anytime(0.2), Short(m=3)]


@BOTH
@pytest.mark.parametrize("rule", RULES, ids=str)
async def test_a_stopped_request_is_aborted_at_once_and_stays_in_the_books(rule: Part, deterministic: bool) -> None:
    backend = Scripted(["= 1"] * 6 + ["thinking " * 200] * 4, deterministic=deterministic)
    s = session(backend, pruners=[rule])  # type: ignore[list-item]
    result = await (BestOfN(10) | MajorityVote()).run(s)
    stopped = [t for t in result.traces if t.finish == "pruned"]
    assert result.answer == "1"
    assert len(stopped) == 4
    assert all(t.completion and t.segment.reason for t in stopped)
    assert backend.closed == len(backend.requests) == 10
    assert backend.generated < 10 * 16 * 4
    if deterministic:
        assert result.ledger.sampled == backend.generated
    assert result.ledger.sampled == sum(t.tokens for t in result.traces)
    assert result.ledger.discarded == sum(t.tokens for t in stopped)


@pytest.mark.slow
@BOTH
async def test_a_thousand_early_stopped_draws_in_a_row_neither_hang_nor_leak(deterministic: bool) -> None:
    backend = Scripted(["= 1"] * 4 + ["x" * 400] * 4, deterministic=deterministic)
    tasks = len(asyncio.all_tasks())

    async def calls() -> None:
        for _ in range(1000):
            s = session(backend, pruners=[AdaptiveConsistency(0.9), StopWhenDecided()])
            result = await (Strategy(BestOfN(8)) | MajorityVote()).run(s)
            assert result.answer == "1"
            assert not s._shared.drawer._draws

    await asyncio.wait_for(calls(), 120)
    assert backend.closed == len(backend.requests) == 8000
    assert len(asyncio.all_tasks()) == tasks
