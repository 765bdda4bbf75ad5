"""200 clients at once, half of which leave at random: none is forgotten, nothing remains, every token is charged."""

from __future__ import annotations

import pytest

from tests.core.scripted import Scripted
from tests.serving.crowd import Crowd, crowd
from widthwise.evals.suites.suites import load_suite
from widthwise.opening import open_backend

CLIENTS, LEAVERS = 200, 100
TEXTS = [
    f"{first}, says one of them after a while, {'and thinks, ' * 20}" for first in ("\\boxed{2}", "\\boxed{3}", "no")
]


def check(outcome: Crowd) -> None:
    assert outcome.wrong == []
    assert sorted([*outcome.answered, *outcome.left]) == list(range(CLIENTS))
    assert len(outcome.left) > LEAVERS / 4  # many left in the middle of their work
    assert len(outcome.answered) <= outcome.counted <= CLIENTS
    assert outcome.charged == outcome.sampled > 0
    assert (outcome.live, outcome.sessions) == (0, 0)


@pytest.mark.parametrize("deterministic", [True, False])
async def test_a_crowd_on_a_scripted_model(deterministic: bool) -> None:
    backend = Scripted(TEXTS, deterministic=deterministic)
    strategy = "best_of_n(n=4) | stop_when_decided() | majority_vote()"
    check(await crowd(backend, strategy, ["1 + 1?"] * CLIENTS, leavers=LEAVERS, concurrency=64))


@pytest.mark.slow
async def test_a_crowd_on_the_embedded_engine() -> None:
    backend = await open_backend("embedded:reasoner")
    problems = load_suite("arithmetic", limit=CLIENTS).problems
    try:
        texts = [problem.text for problem in problems]
        check(await crowd(backend, "best_of_n(n=2) | majority_vote()", texts, leavers=LEAVERS, concurrency=16))
    finally:
        await backend.close()
