"""Judging and confidence in whole runs: stored, replayed, the same at any concurrency."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.aggregators.judges import Judge
from widthwise import BestOfN, BordaVote, GenerativeVerification, MajorityVote, Strategy, WeightedVote
from widthwise.backends.embedded.backend import EmbeddedBackend
from widthwise.backends.replay import ReplayBackend
from widthwise.core.backend import Backend, SamplingParams
from widthwise.core.problem import Problem
from widthwise.evals.grading.graders import MathGrader
from widthwise.evals.runner import run, setting_for
from widthwise.evals.store.exchange import StoredRecordings
from widthwise.evals.store.store import Store, compare
from widthwise.evals.suites.suite import Suite
from widthwise.evals.suites.suites import load_suite
from widthwise.opening import bundled_models

SUITE = load_suite("countdown", limit=2)
CONFIDENT = [
    BordaVote(p=1.0),
    WeightedVote("lowest_group_confidence", weight="identity", top=0.5),
    WeightedVote("tail_confidence", weight="equal", top=0.25),
]


def ran(
    path: Path,
    strategy: Strategy,
    backend: Backend,
    *,
    concurrency: int = 4,
    suite: Suite = SUITE,
    logprobs: int | None = 20,
) -> Path:
    async def work() -> None:
        params = SamplingParams(logprobs=logprobs, max_tokens=60)
        with Store.begin(path, {"strategy": "one"}, suite.problems) as store:
            await run(suite, strategy, setting_for(suite, backend, params=params), store, concurrency=concurrency)
        await backend.close()

    asyncio.run(work())
    return path


def reasoner() -> EmbeddedBackend:
    return EmbeddedBackend(bundled_models()["reasoner"], max_num_seqs=16)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ran(tmp_path_factory.mktemp("runs") / "majority.db", BestOfN(4) | MajorityVote(), reasoner())


@pytest.mark.parametrize("vote", CONFIDENT, ids=str)
def test_confident_votes_are_the_same_on_the_stored_run(vote: BordaVote, stored: Path, tmp_path: Path) -> None:
    live = ran(tmp_path / "live.db", BestOfN(4) | vote, reasoner())
    with Store.read(stored) as recorded:
        backend = ReplayBackend(StoredRecordings(recorded))
        replayed = ran(tmp_path / "replayed.db", BestOfN(4) | vote, backend)
    with Store.read(live) as a, Store.read(replayed) as b:
        for one, other in zip(a.outcomes(), b.outcomes(), strict=True):
            assert one.state == other.state == "done"
            assert (one.answer, one.trace, one.tied) == (other.answer, other.trace, other.tied)


def test_judged_runs_do_not_depend_on_concurrency(tmp_path: Path) -> None:
    strategy = BestOfN(4) | GenerativeVerification(k=1)
    alone = ran(tmp_path / "1.db", strategy, reasoner(), concurrency=1)
    together = ran(tmp_path / "4.db", strategy, reasoner(), concurrency=4)
    with Store.read(alone) as a, Store.read(together) as b:
        assert sum(outcome.ledger.judging for outcome in a.outcomes()) > 0
        assert compare(a, b) == []


def test_a_run_keeps_what_judges_said_and_counts_it_as_no_solution(tmp_path: Path) -> None:
    """The judge fails on the solution "= 5", and is right about the others."""

    def says(prompt: str, index: int) -> str | None:
        if "Here is a solution" in prompt:
            return None if "{5}" in prompt else "yes" if "{2}" in prompt else "no"
        return ["\\boxed{5}", "\\boxed{2}", "\\boxed{5}", "\\boxed{7}"][index]

    suite = Suite("sums", (Problem("p1", "1+1?", "2"),), MathGrader(), "test")
    strategy = BestOfN(4) | GenerativeVerification(k=2, votes=False)
    path = ran(tmp_path / "run.db", strategy, Judge(says), suite=suite, logprobs=None)
    with Store.read(path) as store:
        (outcome,) = store.outcomes()
        # It has its answer and is counted; the same command would ask the judge again.
        assert (outcome.state, outcome.answer, outcome.correct) == ("error", "2", True)
        assert outcome.errors == ("the judge is out",)
        assert [leaf.answer for leaf in outcome.leaves] == ["5", "2", "5", "7"]
        assert len(store.traces("p1")) == 4
        rows = store._db.rows(
            "SELECT finish, reason, metadata FROM segments WHERE trace NOT LIKE '0%' AND seed NOT NULL"
        )
        assert sorted((row["finish"], row["reason"] or "", row["metadata"][:14]) for row in rows) == [
            ("error", '"the judge is out"', '{"verdict": nu'),
            ("error", '"the judge is out"', '{"verdict": nu'),
            ("stop", "", '{"verdict": 0.'),
            ("stop", "", '{"verdict": 0.'),
            ("stop", "", '{"verdict": 0.'),
            ("stop", "", '{"verdict": 0.'),
        ]
