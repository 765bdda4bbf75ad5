"""A model that stays open: one engine for many calls, from loops, threads and with blocks."""

from __future__ import annotations

import asyncio
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import widthwise as ww
from widthwise import engines
from widthwise.opening import open_backend

QUESTION = "Compute (17 + 5) * 3 - 48."
STRATEGY = "best_of_n(n=2) | majority_vote()"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that were opened while the test ran."""
    opened: list[str] = []

    async def counted(spec: str, args: Any = None) -> ww.Backend:
        opened.append(spec)
        await asyncio.sleep(0)  # others may arrive meanwhile
        return await open_backend(spec, args)

    monkeypatch.setitem(engines._OPENED_AS, "model", counted)
    return opened


def test_one_engine_serves_every_call(openings: list[str]) -> None:
    with ww.open("reasoner", max_num_seqs=8) as model:
        result = ww.solve(QUESTION, STRATEGY, model)
        run = ww.evaluate(STRATEGY, "arithmetic", model=model, limit=2)
        swept = ww.sweep([STRATEGY], ["arithmetic"], [1, 2], model=model, limit=2)
    assert openings == ["reasoner"]
    assert result.answer == "18"
    assert (run.failures, swept.failures) == ((), 0)


def test_a_run_is_the_same_by_name_and_by_an_open_model(openings: list[str]) -> None:
    with ww.open("reasoner", max_num_seqs=8) as model:
        opened = ww.evaluate(STRATEGY, "arithmetic", model=model, limit=2)
    named = ww.evaluate(STRATEGY, "arithmetic", model="reasoner", backend_args={"max_num_seqs": 8}, limit=2)
    assert named.path == opened.path
    assert named.configuration == opened.configuration
    assert openings == ["reasoner"]  # the run is finished: nothing is opened again


async def test_awaited_it_is_the_same(openings: list[str]) -> None:
    async with ww.open("reasoner") as model:
        results = await asyncio.gather(*(ww.solve_async(QUESTION, STRATEGY, model) for _ in range(3)))
        assert ww.solve(QUESTION, STRATEGY, model).answer == "18"  # in a running loop
    assert [result.answer for result in results] == ["18"] * 3
    assert openings == ["reasoner"]


def test_the_first_of_several_threads_opens_it(openings: list[str]) -> None:
    model = ww.open("reasoner")
    assert openings == []
    barrier = threading.Barrier(3)

    def solved(_: int) -> str | None:
        barrier.wait()
        return ww.solve(QUESTION, STRATEGY, model).answer

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(solved, range(3))) == ["18"] * 3
    assert openings == ["reasoner"]
    model.close()


def test_models_that_score_and_embed_stay_open_too() -> None:
    with ww.open("scorer", role="reward_model") as scorer, ww.open("scorer", role="embedding_model") as embedder:
        result = ww.solve(
            QUESTION, "best_of_n(n=2) | best_by('reward_model')", reward_model=scorer, embedding_model=embedder
        )
        assert result.ledger.scoring > 0
        with pytest.raises(ww.UsageError, match="was opened as a reward_model: open one with"):
            ww.solve(QUESTION, STRATEGY, scorer)


def test_a_closed_model_says_so() -> None:
    with ww.open("reasoner") as model:
        assert repr(model) == "<ww.Model embedded:reasoner, open>"
    with pytest.raises(ww.UsageError, match="has been closed: open it again"):
        ww.solve(QUESTION, STRATEGY, model)
    model.close()  # closing twice is harmless
    assert repr(model) == "<ww.Model embedded:reasoner, closed>"


def test_a_failed_opening_is_tried_again() -> None:
    model = ww.open("embedded:nowhere")
    for _ in range(2):
        with pytest.raises(ww.BackendError, match="there is no folder nowhere"):
            ww.solve(QUESTION, STRATEGY, model)
    with pytest.raises(ww.UsageError, match="max_num_seqs"), ww.open("reasoner", max_seqs=1):
        pass
    with pytest.raises(ww.UsageError, match="did you mean 'reasoner'"):
        ww.open("resoner")
    with pytest.raises(ww.UsageError, match="opened as one of model, reward_model, embedding_model, not 'judge'"):
        ww.open("reasoner", role="judge")  # type: ignore[arg-type]
    with pytest.raises(ww.UsageError, match="pass them to ww"):
        ww.solve(QUESTION, STRATEGY, ww.open("reasoner"), backend_args={"max_num_seqs": 3})


def _everything() -> list[Any]:
    run = ww.evaluate(STRATEGY, "arithmetic", limit=2)
    swept = ww.sweep([STRATEGY], ["arithmetic"], [1, 2], limit=2)
    return [ww.solve(QUESTION, STRATEGY).answer, run.accuracy, swept.failures, ww.curve(run).path, len(ww.compare(run))]


def test_all_of_it_works_in_other_threads_than_the_main_one() -> None:
    with ThreadPoolExecutor(1) as threads:
        elsewhere = threads.submit(_everything).result()
    assert elsewhere == _everything()


async def test_all_of_it_works_in_a_running_loop() -> None:
    assert _everything() == _everything()


def test_signals_are_the_programs_own() -> None:
    """Before, it set its own handlers on the caller's loop, and two simultaneous calls took them from each other."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:

        async def strategy(session: ww.Session) -> str:
            signal.raise_signal(signal.SIGTERM)
            return "1"

        assert ww.evaluate(strategy, "arithmetic", limit=2).failures == ()
        assert heard == [signal.SIGTERM] * 2
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_a_cancelled_evaluation_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    """Before, it raised its own exception, which ``asyncio.timeout`` did not recognise."""
    begun = asyncio.Event()

    async def endless(session: ww.Session) -> str:
        begun.set()
        await asyncio.Event().wait()
        return ""

    task = asyncio.create_task(ww.evaluate_async(endless, "arithmetic", limit=2, run="a.db"))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "stopped with 0 of 2 problems done" in caplog.text
    assert len(ww.Run.read("a.db").outcomes) == 2
