"""Errors that can be known early are reported before the first token, in one sentence with the nearest valid name."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.core.scripted import Scripted
from widthwise.aggregators.best_by import BestBy
from widthwise.backends.replay import ReplayBackend
from widthwise.core.backend import Capabilities, TokenStats
from widthwise.core.errors import BackendError, UsageError
from widthwise.core.problem import Problem
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.rewards.reward import Solution, StepScores
from widthwise.core.session.session import Session
from widthwise.core.session.setting import Setting
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.strategy.strategy import as_strategy
from widthwise.core.trace.recording import Recording, Sample
from widthwise.core.trace.trace import Trace
from widthwise.engines import open_reward_model
from widthwise.evals.beginning import Beginning
from widthwise.evals.grading.graders import MathGrader
from widthwise.evals.runner import run, setting_for
from widthwise.evals.store.store import Store
from widthwise.evals.suites.suite import Suite
from widthwise.models.formats import GENERIC, REASONER

PROBLEMS = tuple(Problem(f"p{i}", f"What is {i} plus {i}?", str(2 * i)) for i in range(6))
SUITE = Suite("sums", PROBLEMS, MathGrader(), "test")


def recorded(logprobs: int | None = None, **numbers: float) -> ReplayBackend:
    """Recordings of the problems, each sample with these numbers and this many likely tokens."""
    text = "It is \\boxed{1}"
    stats = ends = None
    if logprobs is not None:
        top = np.full((1, logprobs), -1.0, np.float32) if logprobs else None
        ids = None if top is None else np.zeros(top.shape, np.int64)
        stats, ends = TokenStats(np.full(1, -1.0, np.float32), ids, top), np.array([len(text)])
    sample = Sample(text, metadata={**numbers, "correct": 1}, stats=stats, token_ends=ends)
    return ReplayBackend({p.id: Recording(p, (sample,) * 4) for p in PROBLEMS}, name="replay:made")


class Rewards:
    name, kind = "rewards", "process"

    async def score(self, problem: Problem, solutions: Sequence[Solution]) -> list[StepScores]:
        return [StepScores((0.5,) * len(s.steps)) for s in solutions]


def embedded(**options: Any) -> Setting:
    """A setting whose backend looks like one of ours: what other backends' traces contain is unknown."""
    backend = Scripted(["\\boxed{1}"], max_logprobs=5)
    Scripted.__module__ = "widthwise.made"
    return setting_for(SUITE, backend, options.pop("format", GENERIC), **options)


@pytest.fixture(autouse=True)
def _modules() -> Any:
    module = Scripted.__module__
    yield
    Scripted.__module__ = module


WRONG = [
    ("best_of_n(n=4) | best_by('rewrd')", "no score 'rewrd'; did you mean 'reward_model'?"),
    ("best_of_n(n=4) | weighted_vote(by='mean_logprobs')", "did you mean 'mean_logprob'?"),
    ("best_of_n(n=4) | borda_vote(by='-mean_ppl')", "no score 'mean_ppl'"),
    ("best_of_n(n=4) | best_by('reward_model')", "has no reward model"),
    ("rebase(n=4)", "rebase(n=4) scores traces, but the run has no reward model: name one (--reward-model)"),
    ("beam_search(n=4, by='scor')", "did you mean 'score'?"),
    ("parallel_distill_refine(drafts=2, worker=beam_search(n=4))", "has no reward model"),
    ("best_of_n(n=4) | deepconf()", "of the 20 most likely tokens, but scripted gives at most 5"),
    ("best_of_n(n=4) | best_by('lowest_group_confidence(window=8)')", "at most 5"),
    ("best_of_n(n=4) | deepprune(judge=same_answer(logprobs=9))", "of the 9 most likely"),
    ("serial_search()", "trained to write a search down"),
    ("threads(calls=3)", "cannot be told how many threads"),
    ("threads(grammar='apl')", "no grammar 'apl'"),
]


@pytest.mark.parametrize(("strategy", "words"), WRONG)
async def test_what_cannot_work_is_said_before_anything_is_sampled(strategy: str, words: str) -> None:
    setting = embedded()
    with pytest.raises(UsageError) as said:
        await parse_strategy(strategy).solve(PROBLEMS[0], setting)
    assert words in str(said.value)
    assert setting.backend.requests == []  # type: ignore[attr-defined]


async def test_questions_that_a_format_does_not_have_are_missed_first() -> None:
    for strategy in ("best_of_n(n=4) | knockout()", "best_of_n(n=4) | self_verification()", "best_of_n() | league()"):
        with pytest.raises(UsageError, match="'reasoner' has no prompt 'compare'"):
            await parse_strategy(strategy).solve(PROBLEMS[0], embedded(format=REASONER))
    bare = PromptFormat("bare")
    for strategy in ("outlined(n=2)", "sequential_refinement()", "recursive_self_aggregation(population=4)"):
        with pytest.raises(UsageError, match="'bare' has no prompt"):
            await parse_strategy(strategy).solve(PROBLEMS[0], embedded(format=bare))


async def test_embeddings_that_a_search_needs_are_missed_first() -> None:
    for strategy in ("ets(n=4)", "tree_search(n=4, select=distinct_steps() | kv_cost())"):
        with pytest.raises(UsageError, match="no embedding model"):
            await parse_strategy(strategy).solve(PROBLEMS[0], embedded(reward_model=Rewards()))


@pytest.mark.parametrize(
    "strategy", ["best_of_n(n=4) | best_by('mean_logprob')", "single()", "beam_search(n=4) | best_by('score')"]
)
async def test_what_can_work_is_let_through(strategy: str) -> None:
    await parse_strategy(strategy).solve(PROBLEMS[0], embedded(reward_model=Rewards()))


async def test_a_part_of_the_users_own_may_bring_scores_that_nobody_knows_of() -> None:
    async def mine(session: Session) -> list[Trace]:
        return [session.annotate(t, mine=1.0) for t in await session.sample(session.root)]

    assert (await (as_strategy(mine) | BestBy("mine")).solve(PROBLEMS[0], embedded())).answer == "1"


async def test_a_backend_without_log_probabilities() -> None:
    setting = embedded()
    setting.backend.capabilities = Capabilities(logprobs=False)  # type: ignore[misc]
    for strategy in ("best_of_n(n=4) | best_by('mean_logprob')", "best_of_n(n=4) | deepconf()"):
        with pytest.raises(UsageError, match="needs log-probabilities, but scripted gives none"):
            await parse_strategy(strategy).solve(PROBLEMS[0], setting)


def ran(path: Path, strategy: str, backend: ReplayBackend, suite: Suite = SUITE) -> Any:
    with Store.begin(path, {"suite": "sums"}, suite.problems) as store:
        asyncio.run(run(suite, parse_strategy(strategy), setting_for(suite, backend), store))
        return list(store.outcomes())


def test_what_a_recording_does_not_have_is_said_first(tmp_path: Path) -> None:
    vote = "best_of_n(n=4) | best_by('rewrad')"
    with pytest.raises(UsageError, match="no score 'rewrad'; did you mean 'reward'"):
        ran(tmp_path / "a.db", vote, recorded(reward=1.0))
    assert all(
        o.state == "done" for o in ran(tmp_path / "b.db", "best_of_n(n=4) | best_by('reward')", recorded(reward=1.0))
    )
    with pytest.raises(UsageError, match="no score 'correct'"):
        ran(tmp_path / "c.db", "best_of_n(n=4) | best_by('correct')", recorded(reward=1.0))
    with pytest.raises(UsageError, match="the sampled tokens, but replay:made has none"):
        ran(tmp_path / "d.db", "best_of_n(n=4) | best_by('mean_logprob')", recorded())
    with pytest.raises(
        UsageError, match="20 most likely tokens, but replay:made has those of 3: record it with logprobs=20"
    ):
        ran(tmp_path / "e.db", "best_of_n(n=4) | deepconf()", recorded(3))


def test_recordings_of_other_problems_are_said_first(tmp_path: Path) -> None:
    other = Suite("others", (Problem("q7", "What?", "1"), Problem("q8", "What?", "1")), MathGrader(), "test")
    with pytest.raises(UsageError, match="replay:made has none of the problems: it has no 'q7'"):
        ran(tmp_path / "a.db", "best_of_n(n=2)", recorded(), other)


# -- what cannot be known, and meets every problem ---------------------------------------------------------------


async def broken(session: Session) -> list[Trace]:
    raise UsageError(f"problem {session.problem.id} was asked in vain")


async def half_broken(session: Session) -> list[Trace]:
    if session.problem.id in ("p0", "p1", "p3", "p4", "p5"):
        raise UsageError("this one was asked in vain")
    return await session.sample(session.root)


def attempted(path: Path, strategy: Any) -> list[str]:
    with Store.begin(path, {"suite": "sums"}, PROBLEMS) as store:
        try:
            asyncio.run(run(SUITE, as_strategy(strategy), setting_for(SUITE, recorded()), store, concurrency=1))
        finally:
            states = [outcome.state for outcome in store.outcomes()]
    return states


def test_a_run_whose_first_problems_all_fail_in_one_way_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"problem p2 was asked in vain \(the first 3 problems failed with this"):
        attempted(tmp_path / "a.db", broken)
    with Store.read(tmp_path / "a.db") as store:
        assert [o.state for o in store.outcomes()] == ["error"] * 3 + ["open"] * 3
    assert attempted(tmp_path / "b.db", half_broken) == ["error", "error", "done", "error", "error", "error"]


def test_other_errors_and_other_sentences_stop_nothing() -> None:
    for errors in (
        [UsageError("a"), UsageError("b"), UsageError("a"), UsageError("a"), UsageError("a")],
        [UsageError("a"), UsageError("a"), BackendError("a"), UsageError("a")],
        [None, UsageError("a"), UsageError("a"), UsageError("a")],
        [ValueError("a")] * 5,
    ):
        beginning = Beginning()
        for error in errors:
            beginning.heed(PROBLEMS[0], error)


# -- reward models -----------------------------------------------------------------------------------------------


class Mute:
    name, kind = "mute", "process"
    closed = False

    async def score(self, problem: Problem, solutions: Sequence[Solution]) -> list[StepScores]:
        raise RuntimeError("no head for this")

    async def close(self) -> None:
        self.closed = True


async def test_a_reward_model_that_fails_at_every_score_is_no_reward_model(monkeypatch: pytest.MonkeyPatch) -> None:
    mute = Mute()

    async def opened(*given: Any) -> Mute:
        return mute

    monkeypatch.setattr("widthwise.engines.open_engine", opened)
    with pytest.raises(BackendError, match=r"mute is available, but it cannot score: .*no head for this"):
        await open_reward_model("replay:x.db")
    assert mute.closed
