"""Searches with a tree policy over the steps of a scripted model."""

from __future__ import annotations

import math
import pickle
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.core.scripted import session
from tests.samplers.steps import Rewards, Steps, by_table, searching
from tests.samplers.talker import Talker, talk
from tests.samplers.test_sequential_refinement import counting
from widthwise import ABMCTS, MCTS, BeamSearch, BestFirstSearch, StepTree, UsageError
from widthwise.core.backend import Delta, Request
from widthwise.core.errors import BackendError
from widthwise.core.scores.trace_score import unit_score
from widthwise.core.session.limits import Limits
from widthwise.core.session.session import Session
from widthwise.core.strategy.strategy import Strategy
from widthwise.samplers.policy_search import PolicySearch
from widthwise.samplers.tree_search import expand

BOTH = pytest.mark.parametrize("deterministic", [True, False])
VALUE = {"good": 0.9, "fair": 0.6, "poor": 0.2, "= 1": 0.8, "= 2": 0.3}


def worth(step: str) -> float:
    return next(value for word, value in VALUE.items() if word in step)


STEPS = by_table(
    {
        "": ["poor\n\n", "good\n\n"],
        "good": ["good\n\n", "poor\n\n"],
        "good|good": ["good = 1", "poor = 2"],
        "poor": ["fair\n\n", "poor\n\n"],
        "poor|fair": ["good = 1", "fair = 1"],
    }
)


class Faulty(Steps):
    """Fails permanently on the word "fault"."""

    async def generate(self, request: Request) -> AsyncIterator[Delta]:
        said = self.tokenizer.decode(request.prompt).partition("\n")[2]
        if self._write(said, request.index) == "fault":
            raise BackendError("the engine fell over")
        async for delta in super().generate(request):
            yield delta


def texts(traces: Any) -> list[str]:
    return [trace.completion.replace("\n\n", "|").rstrip("\0") for trace in traces]


def resident(session: Session) -> int:
    return session._shared.accounts.residency.resident


@BOTH
async def test_best_first_goes_to_the_best_open_step_and_comes_back(deterministic: bool) -> None:
    s = searching(STEPS, Rewards(worth), deterministic=deterministic)
    traces = await BestFirstSearch(n=3, children=2, parallel=2)(s)
    # good, then good|good, then its two ends; then the best one left: poor (0.2), whose fair child is next.
    assert texts(traces)[-2:] == ["good|good|good = 1", "good|good|poor = 2"]
    assert "poor|fair|good = 1" in texts(traces)
    assert resident(s) == 0


async def test_mcts_visits_as_uct_says() -> None:
    s = searching(STEPS, Rewards(worth))
    traces = await MCTS(n=2, children=2, parallel=1)(s)
    order = [
        t.completion.replace("\n\n", "|").rstrip("\0")
        for t in sorted(s.traces.values(), key=lambda t: t.metadata.get("round", 0))
        if t.segment.origin == "sampled"
    ]
    # Both children of the root, then below "good" (0.9 against 0.2) until its ends; each round draws one step.
    assert order[:4] == ["poor|", "good|", "good|good|", "good|poor|"]
    assert len(traces) == 2
    assert resident(s) == 0


@pytest.mark.parametrize(
    "sampler",
    [
        MCTS(n=4, children=2),
        MCTS(n=4, children=2, rule="puct"),
        MCTS(n=4, children=2, rollout=True),
        BestFirstSearch(n=4, children=2),
    ],
    ids=str,
)
@BOTH
async def test_every_token_is_accounted_for(sampler: PolicySearch, deterministic: bool) -> None:
    s = searching(STEPS, Rewards(worth), deterministic=deterministic)
    result = await Strategy(sampler).run(s)
    sampled = [t for t in s.traces.values() if t.segment.origin == "sampled"]
    assert result.ledger.sampled == sum(len(t.segment) for t in sampled)
    useful = {above.id for t in result.traces if t.finish in ("stop", "length") for above in _above(t)}
    wasted = sum(len(t.segment) for t in sampled if t.id not in useful)
    assert result.ledger.discarded == wasted
    assert resident(s) == 0
    assert len([t for t in result.traces if t.finish == "stop"]) >= 4


def _above(trace: Any) -> list[Any]:
    found = []
    while trace is not None:
        found.append(trace)
        trace = trace.parent
    return found


async def test_a_rollout_is_a_solution_and_its_worth_counts_for_the_step() -> None:
    table = {"": ["poor\n\n", "good\n\n"], "poor": ["x = 1"], "good": ["x = 2"]}
    s = searching(by_table(table), Rewards(worth))
    traces = await MCTS(n=2, children=2, parallel=2, rollout=True)(s)
    assert len(traces) == 2  # one of each first step, continued to its end
    assert all(t.finish == "stop" for t in traces)
    assert [t.metadata["score"] for t in traces] == [0.8, 0.3]
    steps = [t for t in s.traces.values() if t.completion in ("poor\n\n", "good\n\n")]
    assert not any("score" in step.metadata for step in steps)


async def test_a_budget_ends_the_search_and_what_there_is_comes_out() -> None:
    s = searching(STEPS, Rewards(worth), budget=Limits(samples=7))
    result = await Strategy(MCTS(n=50, children=2)).run(s)
    assert result.ledger.samples == 7
    assert resident(s) == 0


async def test_a_search_that_was_pickled_goes_on_as_if_nothing_had_happened() -> None:
    sampler = MCTS(n=3, children=2, parallel=1)
    whole = searching(STEPS, Rewards(worth))
    expected = texts(await sampler(whole))
    first = searching(STEPS, Rewards(worth))
    tree = sampler.tree(first)
    for _ in range(3):
        await sampler.round(first, [tree])
    restored: StepTree = pickle.loads(pickle.dumps(tree))
    second = searching(STEPS, Rewards(worth))
    assert texts(await sampler.resume(second, [restored])) == expected
    assert resident(second) == 0


async def test_a_step_that_failed_has_no_children() -> None:
    s = session(Faulty(by_table({"": ["fault", "good\n\n"], "good": ["good = 1"]})), reward_model=Rewards(worth))
    traces = await MCTS(n=2, children=2, parallel=2)(s)
    assert texts(traces) == ["good|good = 1", "good|good = 1"]


@pytest.mark.parametrize(
    ("score", "source", "value"),
    [(0.3, "reward_model", 0.3), (-0.5, "mean_logprob", math.exp(-0.5)), (None, "score", None)],
)
def test_scores_as_numbers_from_0_to_1(score: float | None, source: str, value: float | None) -> None:
    assert unit_score(score, source) == value


@pytest.mark.parametrize("score", [1.5, -0.5, float("nan")])
def test_a_score_outside_0_to_1_is_refused(score: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        unit_score(score, "tail_confidence")


# -- looking ahead ----------------------------------------------------------------------------------------------


async def test_a_step_is_scored_by_where_it_leads() -> None:
    """Without lookahead "good" wins; but it leads only to "poor = 2", while "fair" leads to "good = 1"."""
    table = {"": ["good\n\n", "fair\n\n"], "good": ["poor = 2"], "fair": ["good = 1"]}
    near = await BeamSearch(2, 2)(searching(by_table(table), Rewards(worth)))
    s = searching(by_table(table), Rewards(worth))
    far = await BeamSearch(2, 2, lookahead=1)(s)
    assert {text.split("|")[0] for text in texts(near)} == {"good"}
    assert {text.split("|")[0] for text in texts(far)} == {"fair"}
    assert len(s.fragments) == 2  # the roll-outs are not samples ...
    sampled = [t for t in s.traces.values() if t.segment.origin == "sampled"]
    assert s.ledger.sampled == sum(len(t.segment) for t in sampled)  # ... but they are charged
    assert {r.params.temperature for r in s._shared.setting.scheduler.backend.requests[2:4]} == {0.0}  # type: ignore[attr-defined]


async def test_a_roll_out_has_so_many_steps_and_no_more() -> None:
    table = {"": ["fair\n\n"], "fair": ["fair\n\n"], "fair|fair": ["good\n\n"], "fair|fair|good": ["good = 1"]}
    s = searching(by_table(table), Rewards(worth))
    trees = BeamSearch(1, 1, lookahead=2).trees(s.root)
    [[node]] = await expand(s, trees, BeamSearch(1, 1))
    [rolled] = await BeamSearch(1, 1, lookahead=2).seen(s, [node])
    assert rolled.completion == "fair\n\nfair\n\ngood\n\n"


# -- whole answers ----------------------------------------------------------------------------------------------


@BOTH
async def test_ab_mcts_writes_so_many_answers_and_keeps_all(deterministic: bool) -> None:
    s = talk(Talker(counting, delays=None if deterministic else random.Random(1)))
    traces = await ABMCTS(n=7, parallel=3, by="mean_logprob")(s)
    assert len(traces) == 7
    assert all(0 < trace.metadata["score"] <= 1 for trace in traces)
    refined = [t for t in traces if t.path[0].metadata.get("question") == "refine"]
    assert 0 < len(refined) < 7
    assert s.ledger.samples == 7


async def test_ab_mcts_goes_on_without_what_failed() -> None:
    s = talk(Talker(lambda p, i: "" if i == 1 else counting(p, i)))
    traces = await ABMCTS(n=6, parallel=3, by="mean_logprob")(s)
    assert 0 < len(traces) < 6


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: MCTS(rule="best"), "rule"),  # type: ignore[arg-type]
        (lambda: MCTS(children=0), "children"),
        (lambda: MCTS(parallel=0), "parallel"),
        (lambda: MCTS(refill=True), "refill"),
        (lambda: BestFirstSearch(children=0), "children"),
        (lambda: BeamSearch(lookahead=-1), "lookahead"),
        (lambda: ABMCTS(n=0), "at least 1"),
        (lambda: ABMCTS(belief="no"), "belief"),  # type: ignore[arg-type]
    ],
)
def test_wrong_arguments(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
