"""Several models as arms of AB-MCTS: the one whose answers are worth more writes most of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

import widthwise as ww
from tests.samplers.test_models_in_order import PROBLEM, calls, setting
from widthwise.core.strategy.strategy import as_strategy

WORTH = {"good": -0.05, "bad": -1.5}


def run_of(belief: str) -> tuple[Any, Any]:
    run = setting(good=[1], bad=[2], idle=[3])
    for name, each in run.models.items():
        backend: Any = each.backend
        backend.stats = lambda ids, k, name=name: _stats(ids, WORTH.get(name, -1.0))
    part = ww.ABMCTS(24, by="mean_logprob", belief=belief, models=("good", "bad"), parallel=2)  # type: ignore[arg-type]
    return part, run


def _stats(ids: Any, logprob: float) -> Any:
    import numpy as np

    return ww.TokenStats(np.full(len(ids), logprob, np.float32))


@pytest.mark.parametrize("belief", ["gauss", "beta", "mixed"])
async def test_the_better_model_writes_most(belief: str) -> None:
    part, run = run_of(belief)
    result = await as_strategy(part).solve(PROBLEM, run)
    wrote = Counter(trace.model for trace in result.traces)
    assert wrote["good"] > wrote["bad"] > 0
    assert sum(wrote.values()) == 24
    assert calls(run)["idle"] == 0


async def test_a_model_that_the_run_does_not_have_is_refused() -> None:
    _, run = run_of("gauss")
    with pytest.raises(ww.UsageError, match="no model 'x'"):
        await as_strategy(ww.ABMCTS(4, by="mean_logprob", models=("x",))).solve(PROBLEM, run)
