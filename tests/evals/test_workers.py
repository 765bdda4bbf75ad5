"""Killable workers: always an answer, whatever the check does to its process."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from widthwise.evals.grading.workers import Check, Limits, Workers


@pytest.fixture(scope="module")
def pool() -> Iterator[Workers]:
    workers = Workers(size=2, limits=Limits(cpu_seconds=1.5, wall_seconds=20))
    yield workers
    workers.close()


def test_checks(pool: Workers) -> None:
    assert pool.check(Check("equal", r"\frac{1}{\sqrt{2}}", r"\frac{\sqrt{2}}{2}"))
    assert pool.check(Check("equal", "2k+2", "2 + 2k"))
    assert not pool.check(Check("equal", "2k+2", "2k-6"))
    assert not pool.check(Check("equal", "7 = 11a+c", "11a+c"))
    assert pool.check(Check("close", r"\sqrt{2}", "1.4143", relative=1e-4))
    assert not pool.check(Check("close", r"\sqrt{2}", "1.5", absolute=0.01))
    assert not pool.check(Check("close", "x", "x", absolute=1.0))
    assert pool.check(Check("parses", r"\int_0^1 x dx"))
    assert not pool.check(Check("parses", "?"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["10^{10^{10^{10}}}", "9^{9^{9^{9}}}", "(10^{10})!", "{" * 900 + "1" + "}" * 900, "\0", "\ud800"]
)
def test_nothing_hangs(pool: Workers, text: str) -> None:
    assert not pool.check(Check("equal", text, "x+1"))
    assert pool.check(Check("equal", "a+b", "b+a")), "the pool goes on"


@pytest.mark.slow
def test_a_fatal_text_costs_workers_only_once(pool: Workers) -> None:
    pool.check(Check("equal", "8^{8^{8^{8}}}", "y+1"))
    later = [pool.submit(Check("equal", "8^{8^{8^{8}}}", f"y+{n}")) for n in range(2, 50)]
    assert all(answer.done() for answer in later), "no worker is asked"
    assert not any(answer.result() for answer in later)


def test_long_texts_are_answered_at_once(pool: Workers) -> None:
    assert not pool.check(Check("equal", "1+" * 500_000 + "1", "1"))


@pytest.mark.slow
def test_memory_is_limited(pool: Workers) -> None:
    assert not pool.check(Check("equal", "2^{2^{36}}", "z+1"))


def test_verdicts_are_remembered(pool: Workers) -> None:
    pool.check(Check("equal", r"\sqrt{a^2+b^2}", r"\sqrt{b^2+a^2}"))
    again = pool.submit(Check("equal", r"\sqrt{a^2+b^2}", r"\sqrt{b^2+a^2}"))
    assert again.done(), "no worker is asked"
    assert again.result()


@pytest.mark.slow
async def test_cancelled_callers_leave_the_pool_usable(pool: Workers) -> None:
    slow = [Check("equal", f"10^{{10^{{10^{{{n}}}}}}}", "w+1") for n in (11, 12)]
    checks = [asyncio.create_task(pool.check_async(check)) for check in slow]
    await asyncio.sleep(0.1)
    for check in checks:
        check.cancel()
    assert all(isinstance(r, asyncio.CancelledError) for r in await asyncio.gather(*checks, return_exceptions=True))
    assert await pool.check_async(Check("equal", "c+d", "d+c"))


@pytest.mark.slow
def test_a_killed_worker_is_replaced() -> None:
    pool = Workers(size=1)
    assert pool.check(Check("equal", "a+b", "b+a"))
    (worker,) = pool._workers
    worker.process.kill()
    worker.process.wait()
    assert pool.check(Check("equal", "a+c", "c+a"))
    pool.close()
    assert pool.check(Check("equal", "a+e", "e+a")), "a closed pool starts anew"
    pool.close()


def test_bad_limits() -> None:
    with pytest.raises(ValueError, match="positive"):
        Limits(cpu_seconds=0)
    with pytest.raises(ValueError, match="at least one"):
        Workers(size=0)


_SCRIPT = """
import asyncio, sys
from widthwise.evals.grading.workers import Check, Workers
pool = Workers()
async def main():
    await pool.check_async(Check("equal", "a+b", "b+a"))
    print([w.process.pid for w in pool._workers][0], flush=True)
    await pool.check_async(Check("equal", "9^{9^{9^9}}", "w+1"))
    await asyncio.sleep(60)
try:
    asyncio.run(main())
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("end", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_no_worker_outlives_its_parent(end: signal.Signals, status: int) -> None:
    """A script without a main guard; Ctrl-C in the middle of a check ends it at once and without a word."""
    script = subprocess.Popen(
        [sys.executable, "-c", _SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert script.stdout is not None
    worker = int(script.stdout.readline())
    time.sleep(0.3)
    script.send_signal(end)
    _, errors = script.communicate(timeout=300)
    assert (script.returncode, errors) == (status, "")
    deadline = time.monotonic() + 300
    while _alive(worker):
        assert time.monotonic() < deadline, "the worker lives on"
        time.sleep(0.1)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] != "Z"
