"""Scores in a session: everything is scored once, including prefixes, and a reward model's mistakes are data."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tests.core.scripted import Scripted, session
from widthwise.aggregators.best_by import BestBy
from widthwise.core.errors import BackendError, UsageError
from widthwise.core.problem import Problem
from widthwise.core.rewards.reward import RewardKind, Solution, StepScores
from widthwise.core.scores.trace_score import trace_scores
from widthwise.core.session.session import Session
from widthwise.core.strategy.strategy import Strategy
from widthwise.core.trace.trace import TraceId
from widthwise.samplers.best_of_n import BestOfN

Answer = Callable[[Solution], StepScores]


def by_length(solution: Solution) -> StepScores:
    """A step's score is its length in hundredths; only new steps are read."""
    scores = tuple(len(step) / 100 for step in solution.steps)
    return StepScores(scores, tokens=sum(len(step) for step in solution.steps[len(solution.known) :]))


class Told:
    """A reward model that scores with a test's own function."""

    name = "told"
    by_lines = False

    def __init__(self, answer: Answer = by_length, kind: RewardKind = "process") -> None:
        self.kind = kind
        self.asked: list[Solution] = []
        self._answer = answer

    async def score(self, problem: Problem, solutions: Sequence[Solution]) -> list[StepScores]:
        self.asked += solutions
        await asyncio.sleep(0)
        return [self._answer(solution) for solution in solutions]


def scored_by(model: Any, texts: Sequence[str] = (), *, limit: float = 5.0, journal: Any = None) -> Session:
    return session(Scripted(texts or ["= 1"]), reward_model=model, patience=limit, journal=journal)


async def test_steps_are_cut_at_blank_lines_and_the_end_token_is_no_step() -> None:
    model = Told()
    s = scored_by(model, ["one\n\nthree", "four\n\n"])
    traces = await s.sample(s.root, 2)
    assert traces[0].completion == "one\n\nthree\0"
    scores = await s.score(traces)
    assert [sc.steps for sc in scores] == [(0.03, 0.05), (0.04,)]
    assert [solution.steps for solution in model.asked] == [("one", "three"), ("four",)]
    assert s.ledger.scoring == 12


async def test_a_model_that_reads_lines_is_given_every_line() -> None:
    model = Told()
    model.by_lines = True
    s = scored_by(model)
    trace = s.append(s.root, "one\n two\n\nthree\n\n")
    [scores] = await s.score([trace])
    assert model.asked[0].steps == ("one", " two", "", "three")
    assert scores.steps == (0.03, 0.04, 0.0, 0.05)
    await s.score([trace], whole=True)
    assert model.asked[1].steps == ("one\n two\n\nthree",)


async def test_nothing_is_scored_twice() -> None:
    model = Told()
    s = scored_by(model)
    first = s.append(s.root, "one\n\n")
    twin = s.append(s.root, "one")
    assert [sc.steps for sc in await s.score([first, twin, first])] == [(0.03,)] * 3
    assert [sc.tokens for sc in await s.score([first, twin])] == [0, 0]
    assert len(model.asked) == 1
    assert s.ledger.scoring == 3


async def test_a_child_pays_for_its_new_step_only() -> None:
    model = Told()
    s = scored_by(model)
    parent = s.append(s.root, "one\n\nthree\n\n")
    await s.score([parent])
    children = [s.append(parent, text) for text in ("seven", "eleven")]
    scores = await s.score(children)
    assert [sc.steps for sc in scores] == [(0.03, 0.05, 0.05), (0.03, 0.05, 0.06)]
    assert model.asked[1:] == [
        Solution(("one", "three", "seven"), (0.03, 0.05)),
        Solution(("one", "three", "eleven"), (0.03, 0.05)),
    ]
    assert s.ledger.scoring == 8 + 11


async def test_a_shorter_prefix_of_a_scored_text_asks_with_what_is_known_before_it() -> None:
    model = Told()
    s = scored_by(model)
    await s.score([s.append(s.root, "a\n\nb\n\nc")])
    await s.score([s.append(s.root, "a\n\nb")])
    assert model.asked[1] == Solution(("a", "b"), (0.01,))


async def test_calls_at_the_same_time_share_what_they_ask_for() -> None:
    model = Told()
    s = scored_by(model)
    trace = s.append(s.root, "one")
    both = await asyncio.gather(s.score([trace]), s.score([trace]))
    assert [scores[0].steps for scores in both] == [(0.03,), (0.03,)]
    assert len(model.asked) == 1
    assert s.ledger.scoring == 3


async def test_a_cancelled_call_leaves_nobody_waiting() -> None:
    class Slow(Told):
        async def score(self, problem: Problem, solutions: Sequence[Solution]) -> list[StepScores]:
            await asyncio.sleep(1000)
            return []

    s = scored_by(Slow())
    trace = s.append(s.root, "one")
    first = asyncio.create_task(s.score([trace]))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(s.score([trace]))
    await asyncio.sleep(0.01)
    first.cancel()
    scores = await asyncio.wait_for(second, 300)
    assert scores[0].error == "the scoring was interrupted"


async def test_whole_is_one_step_and_no_steps_are_not_sent() -> None:
    model = Told()
    s = scored_by(model)
    trace, empty = s.append(s.root, "one\n\nthree\n\n"), s.append(s.root, "\n\n")
    whole = await s.score([trace, empty], whole=True)
    assert [sc.steps for sc in whole] == [(0.1,), ()]
    assert [solution.steps for solution in model.asked] == [("one\n\nthree",)]
    assert (await s.score([empty]))[0].last is None


async def test_an_outcome_model_gives_one_score_and_gets_no_prefix() -> None:
    model = Told(lambda solution: StepScores((len(solution.steps) / 10,)), kind="outcome")
    s = scored_by(model)
    parent = s.append(s.root, "a\n\nb\n\n")
    scores = await s.score([parent, s.append(parent, "c")])
    assert [sc.steps for sc in scores] == [(0.2,), (0.3,)]
    assert all(not solution.known for solution in model.asked)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (lambda s: StepScores((0.5, math.nan)), "NaN"),
        (lambda s: StepScores((0.5, -3.0)), "not in [0, 1]"),
        (lambda s: StepScores((0.5,)), "1 scores where 2 were expected"),
        (lambda s: StepScores(None), "no scores"),
        (lambda s: StepScores(None, error="it is too long"), "it is too long"),
        (lambda s: 1 / 0, "ZeroDivisionError"),
    ],
)
async def test_a_bad_answer_is_recorded_with_the_trace_and_the_search_goes_on(answer: Any, complaint: str) -> None:
    bad = Told(lambda solution: answer(solution) if solution.steps[0] == "bad" else by_length(solution))
    s = scored_by(bad, ["bad\n\n= 1", "good\n\n= 2"])
    result = await Strategy(BestOfN(2), aggregator=BestBy("reward_model")).run(s)
    assert result.answer == (None if "Zero" in complaint else "2")
    assert complaint in str(s._shared.scorer.by_trace[(0, 0)].error)
    assert any(complaint in error for error in result.errors)


async def test_a_solution_that_does_not_fit_is_unscored_and_no_failure() -> None:
    endless = StepScores(None, error="the prompt has 1027 tokens, but the model's context is 1024", abstained=True)
    model = Told(lambda solution: endless if solution.steps[0] == "endless" else by_length(solution))
    s = scored_by(model, ["endless\n\n= 1", "good\n\n= 2"])
    result = await Strategy(BestOfN(2), aggregator=BestBy("reward_model")).run(s)
    assert (result.answer, result.errors) == ("2", ())
    assert "1027 tokens" in str(s._shared.scorer.by_trace[(0, 0)].error)


class Silent(Told):
    async def score(self, problem: Problem, solutions: Sequence[Solution]) -> list[StepScores]:
        await asyncio.sleep(30)
        return []


class Refusing(Told):
    async def score(self, problem: Problem, solutions: Sequence[Solution]) -> list[StepScores]:
        raise BackendError("no server answers at http://nowhere")


class Short(Told):
    async def score(self, problem: Problem, solutions: Sequence[Solution]) -> list[StepScores]:
        return [by_length(solutions[0])]


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (Silent(), "told did not answer within 0.05 seconds"),
        (Refusing(), "no server answers at http://nowhere"),
        (Short(), "answered 1 of 2 solutions"),
    ],
)
async def test_a_model_that_does_not_answer_is_an_error_of_every_trace(model: Told, complaint: str) -> None:
    s = scored_by(model, ["= 1", "= 2"], limit=0.05)
    scores = await s.score(await s.sample(s.root, 2))
    assert [sc.steps for sc in scores] == [None, None]
    assert all(complaint in str(sc.error) for sc in scores)
    assert s.ledger.scoring == 0


async def test_what_failed_may_be_asked_for_again() -> None:
    moods = iter([StepScores(None, error="busy"), StepScores((0.5,), tokens=3)])
    s = scored_by(Told(lambda _: next(moods)))
    trace = s.append(s.root, "one")
    assert (await s.score([trace]))[0].error == "busy"
    assert (await s.score([trace]))[0].steps == (0.5,)


async def test_reductions_are_named_behind_a_colon() -> None:
    s = scored_by(Told(), ["one\n\nthree\n\nit"])
    traces = await s.sample(s.root, 1)
    assert await trace_scores(s, traces, "reward_model") == [0.02]
    assert await trace_scores(s, traces, "reward_model:min") == [0.02]
    assert await trace_scores(s, traces, "reward_model:prod") == pytest.approx([0.03 * 0.05 * 0.02])
    assert await trace_scores(s, traces, "reward_model:mean") == pytest.approx([0.1 / 3])
    assert await trace_scores(s, traces, "reward_model:model") == [0.14]
    with pytest.raises(UsageError, match="no reduction 'max'; there are last, min, prod"):
        await trace_scores(s, traces, "reward_model:max")


class Memory:
    """A journal of scores."""

    def __init__(self) -> None:
        self.kept: dict[str, StepScores] = {}
        self.calls = 0

    def recorded_scores(self, problem_id: str, key: str) -> StepScores | None:
        found = self.kept.get(key)
        return found if found is not None and found.error is None else None

    def record_scores(self, problem_id: str, scores: Sequence[tuple[TraceId, str, StepScores]]) -> None:
        self.calls += 1
        self.kept |= {key: said for _, key, said in scores}


async def test_a_resumed_run_is_served_its_recorded_scores_and_is_charged_alike() -> None:
    async def work(model: Any, journal: Memory) -> tuple[list[StepScores], int]:
        s = scored_by(model, journal=journal)
        parent = s.append(s.root, "one\n\n")
        children = [s.append(parent, text) for text in ("seven", "eleven")]
        return [*await s.score([parent]), *await s.score(children)], s.ledger.scoring

    journal = Memory()
    before = await work(Told(), journal)
    assert journal.calls == 2
    assert await work(Refusing(), journal) == before


async def test_embeddings_are_charged() -> None:
    class Letters:
        name = "letters"

        async def embed(self, texts: Sequence[str]) -> tuple[Any, int]:
            return np.eye(len(texts), dtype=np.float32), sum(map(len, texts))

    with pytest.raises(UsageError, match="--embedding-model"):
        await session(Scripted(["= 1"])).embed(["a"])
    s = session(Scripted(["= 1"]), embedder=Letters())
    assert (await s.embed(["a", "bc"])).shape == (2, 2)
    assert (await s.embed([])).shape == (0, 0)
    assert s.ledger.embedding == 3
