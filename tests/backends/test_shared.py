"""One open engine used from several threads, and after a fork: it works, or is refused in one sentence."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

import widthwise as ww
from widthwise.backends.loop_thread import LoopThread
from widthwise.core.errors import BackendError
from widthwise.evals.store.database import StoreError
from widthwise.evals.store.store import Store
from widthwise.opening import open_backend

PROBLEMS = [f"Compute ({i} + 5) * 3 - {i}." for i in range(6)]


def _solved(backend: ww.Backend, problem: str) -> list[str]:
    result = ww.solve(problem, "best_of_n(n=3) | majority_vote()", backend, max_tokens=40)
    assert not result.errors
    return [trace.completion for trace in result.traces]


@pytest.fixture
def backend() -> ww.Backend:
    return asyncio.run(open_backend("reasoner"))


def test_one_engine_serves_several_threads(backend: ww.Backend) -> None:
    """Every answer used to be None, because two threads stepped the engine at once."""
    alone = [_solved(backend, problem) for problem in PROBLEMS]
    with ThreadPoolExecutor(3) as threads:
        together = list(threads.map(lambda problem: _solved(backend, problem), PROBLEMS))
    assert together == alone


def test_an_event_loop_that_ends_leaves_the_engine_to_the_others(backend: ww.Backend) -> None:
    """The loop that steps the engine for all threads is cancelled in the middle of its work."""
    expected = _solved(backend, PROBLEMS[1])
    begun, over = threading.Event(), threading.Event()

    async def stopped() -> None:
        async def forever() -> None:
            while True:
                await ww.solve_async(PROBLEMS[0], "single()", backend, max_tokens=200)

        task = asyncio.create_task(forever())
        await asyncio.sleep(0.05)
        begun.set()
        await asyncio.to_thread(over.wait)
        task.cancel()

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(asyncio.run, stopped())
        begun.wait()
        second = threads.submit(_solved, backend, PROBLEMS[1])
        over.set()
        first.result(timeout=120)
        assert second.result(timeout=120) == expected


def _in_child(work: Callable[[], Any]) -> Any:
    """The result of ``work`` in a forked process, or the error that it raises there."""

    def run(end: Connection) -> None:
        try:
            end.send(work())
        except Exception as error:
            end.send(f"{type(error).__name__}: {error}")

    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=run, args=(theirs,))
    child.start()
    try:
        assert ours.poll(120), "the child hangs"
        return ours.recv()
    finally:
        child.kill()
        child.join()


def test_a_forked_process_has_an_engine_of_its_own(backend: ww.Backend) -> None:
    alone = _solved(backend, PROBLEMS[0])

    async def fork_while_sampling() -> Any:
        work = asyncio.create_task(ww.solve_async(PROBLEMS[1], "best_of_n(n=3)", backend, max_tokens=60))
        await asyncio.sleep(0.02)
        found = await asyncio.to_thread(_in_child, lambda: _solved(backend, PROBLEMS[0]))
        await work
        return found

    assert asyncio.run(fork_while_sampling()) == alone


def test_connections_do_not_outlive_a_fork() -> None:
    """Their thread stays in the parent: waiting for it in the child used to hang."""
    thread = LoopThread("test")
    try:
        said = _in_child(lambda: thread.call(asyncio.sleep(0, "done")))
        assert "opened before this process was forked" in said
        assert thread.call(asyncio.sleep(0, "done")) == "done"
    finally:
        thread.stop()
    with pytest.raises(BackendError, match="closed"):
        asyncio.run(_first(thread))


async def _first(thread: LoopThread) -> None:
    async def items() -> Any:
        yield 1

    async for _ in thread.stream(items()):
        pass


def test_a_run_file_does_not_outlive_a_fork(tmp_path: Path) -> None:
    problems = [ww.Problem("p", "1?", "1")]
    with Store.begin(tmp_path / "a.db", {"suite": "s"}, problems) as store:

        def use() -> str:
            with pytest.raises(StoreError, match="opened before this process was forked"):
                store.problems()
            store.close()
            return "refused"

        assert _in_child(use) == "refused"
        assert store.problems() == problems
        store.end_attempt(1.0)


async def test_a_run_is_measured_inside_a_running_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows are read in a different thread from the one that opened the file."""
    monkeypatch.chdir(tmp_path)
    await asyncio.to_thread(
        ww.sweep, ["best_of_n() | majority_vote()"], ["arithmetic"], [2], limit=2, folder=tmp_path / "s", max_tokens=9
    )
    (run,) = (tmp_path / "s").glob("*.db")
    assert ww.curve(run, replicates=2).problems
