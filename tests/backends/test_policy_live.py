"""A policy has problems go on with a search on an engine: beside the samples, out of their share of the pool."""

from __future__ import annotations

from pathlib import Path

import pytest

import widthwise as ww
from tests.backends.conformance import Subject
from tests.evals.recount import check_recount
from tests.evals.test_allocation import is_paid_for
from tests.evals.test_allocation_strategies import SEARCH, always, written
from widthwise.evals.allocation.policy import alternative_of
from widthwise.evals.store.store import Store

VLLM = pytest.param("vllm_subject", marks=[pytest.mark.vllm, pytest.mark.slow])


@pytest.mark.parametrize("engine", ["embedded_subject", VLLM])
async def test_problems_go_on_with_a_search(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    subject: Subject = request.getfixturevalue(engine)
    given = {"limit": 3, "seed": 3, "max_tokens": 100, "model": subject.backend, "format": "reasoner"}
    pool = {"suite_budget_tokens": 6000, "allocator": written(always(), tmp_path)}
    run = await ww.evaluate_async("best_of_n(n=6)", "arithmetic", **given, **pool, run=tmp_path / "run.db")
    assert [outcome.state for outcome in run.outcomes] == ["done"] * 3
    assert run.summary.suite_budget is not None
    assert run.summary.suite_budget["strategies"] == {alternative_of(SEARCH).brief(): 3}
    assert is_paid_for(run) <= 6000
    for outcome in run.outcomes:
        searched = {leaf.answer for leaf in outcome.leaves if len(leaf.id) > 2}
        assert searched
        assert outcome.answer in searched
    with Store.read(run.path) as store:
        check_recount(store)
    assert subject.running() == 0
