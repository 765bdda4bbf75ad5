"""Ctrl-C, Ctrl-C twice, SIGTERM and a notebook's stop button: everything ends in order, without a traceback."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

import widthwise as ww
from widthwise import interrupts
from widthwise.core import run_sync

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, ".", str(Path(__file__).parent)])}

NOTEBOOK = """
import asyncio, os, signal, sys, threading, time
import widthwise as ww


async def strategy(session):
    try:
        print("sampling", flush=True)
        while True:
            await session.sample(session.root, 1)
            await asyncio.sleep(0.01)
    finally:
        print("cancelled", flush=True)

async def cell():
    try:
        ww.solve("Compute 1 + 1.", strategy)
    except KeyboardInterrupt:
        print("interrupted", [t.name for t in threading.enumerate() if t.name == "widthwise"], flush=True)

def stop_button(*_):
    raise KeyboardInterrupt

async def notebook():
    # A kernel raises KeyboardInterrupt in the main thread, in which its loop runs the cell.
    signal.signal(signal.SIGINT, stop_button)
    await cell()

loop = asyncio.new_event_loop()
loop.run_until_complete(notebook())
"""


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.slow
def test_a_notebooks_stop_button_ends_the_sampling() -> None:
    """Before, it continued until the kernel died."""
    notebook = subprocess.Popen([sys.executable, "-c", NOTEBOOK], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    try:
        assert _line(notebook) == "sampling"
        notebook.send_signal(signal.SIGINT)
        assert _line(notebook) == "cancelled"
        assert _line(notebook) == "interrupted []"
        assert notebook.wait(timeout=600) == 0
    finally:
        notebook.kill()
        notebook.communicate()


async def test_a_sweep_runs_inside_a_running_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signal handlers belong to the main thread: before, a sweep failed in a notebook's thread."""
    monkeypatch.chdir(tmp_path)
    done = ww.sweep(["best_of_n() | majority_vote()"], ["arithmetic"], [1, 2], limit=2, folder="s", max_tokens=5)
    assert done.failures == 0


STUBBORN = """
import asyncio, signal
from late_signal import late

async def answer(session):
    print("at work", flush=True)
    while True:
        try:
            late(signal.{number})
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            print("will not stop", flush=True)
"""

BUSY = """
async def answer(session):
    print("at work", flush=True)
    while True:
        pass
"""

SLOW_START = """
import time
print("at work", flush=True)
while True:
    time.sleep(0.01)
"""


def _started(folder: Path, strategy: str) -> subprocess.Popen[str]:
    (folder / "mine.py").write_text(strategy)
    command = [sys.executable, "-m", "widthwise", "eval", "arithmetic", "--limit", "2", "--strategy", "mine:answer",
               "--run", "a.db", "--concurrency", "1"]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env=ENVIRONMENT
    )
    assert _line(process) == "at work"
    return process


def _ended(process: subprocess.Popen[str]) -> str:
    try:
        err = process.communicate(timeout=600)[1]
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_what_does_not_stop(tmp_path: Path, number: signal.Signals) -> None:
    process = _started(tmp_path, STUBBORN.format(number=number.name))
    assert "stopped at once" in _ended(process)


def test_a_second_signal_ends_what_keeps_the_loop_busy(tmp_path: Path) -> None:
    process = _started(tmp_path, BUSY)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)  # another one: two of the same kind may arrive as one
    assert "stopped at once" in _ended(process)


UNTOUCHED = """
import signal

async def answer(session):
    signal.raise_signal(signal.SIGINT)
    return await session.sample(session.root, 1)
"""


def test_a_command_in_the_background_of_a_script_is_not_interrupted(tmp_path: Path) -> None:
    """Ctrl-C is meant for the foreground: the shell has SIGINT ignored for `... &`. Before, it stopped the run."""
    (tmp_path / "mine.py").write_text(UNTOUCHED)
    words = ["eval", "arithmetic", "--limit", "2", "--strategy", "mine:answer", "--max-tokens", "5", "--run", "a.db"]
    script = ["sh", "-c", '"$@" & wait $!', "sh", sys.executable, "-m", "widthwise", *words]
    done = subprocess.run(script, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


COMMAND = """
import asyncio, signal, sys
from late_signal import late
from widthwise.core.event_loop import run_loop
from widthwise.interrupts import cancelled_by_signals, catch_signals

async def wait():
    late(signal.SIGINT)
    await asyncio.sleep(1000)

async def cancelled():
    with cancelled_by_signals() as stop:
        try:
            await wait()
        except asyncio.CancelledError:
            assert stop.heard
            raise KeyboardInterrupt from None

async def after():
    with cancelled_by_signals():
        pass
    await wait()

async def too_late_to_cancel():
    with cancelled_by_signals():
        signal.raise_signal(signal.SIGINT)
    await asyncio.sleep(1000)

async def closing():
    global left
    left = items()
    await anext(left)

async def items():
    try:
        yield
    finally:  # while the loop is closed
        await wait()

catch_signals()
try:
    run_loop(globals()[sys.argv[1]]())
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("where", ["wait", "cancelled", "after", "too_late_to_cancel", "closing"])
def test_a_signal_is_heard_however_late_it_comes_before_a_commands_loop_waits(where: str) -> None:
    """Before, the loop slept on, and the command ended only at its next event."""
    command = [sys.executable, "-c", COMMAND, where]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=600)
    assert done.stdout == "interrupted\n", done.stderr


def test_a_handler_that_could_not_be_put_back_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert interrupts.can_set_handlers()
    monkeypatch.setattr(signal, "getsignal", lambda number: None)  # that of a program in C which runs Python
    assert not interrupts.can_set_handlers()


UNREAD = """
import os, signal
from widthwise.interrupts import catch_signals

catch_signals()
read, written = os.pipe()
os.close(read)
os.dup2(written, 2)
for _ in range(2):
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def test_a_second_signal_ends_a_command_whose_stderr_nobody_reads() -> None:
    command = [sys.executable, "-c", UNREAD]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stdout) == (130, "interrupted\n")


LIBRARY = """
import signal
import widthwise as ww

def handlers():
    return [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]

before = handlers()

async def strategy(session):
    print(signal.set_wakeup_fd(-1), handlers()[0] == before[0])  # asyncio has a handler of its own for SIGINT
    return await session.sample(session.root, 1)

ww.solve("Compute 1 + 1.", strategy)
print(handlers() == before)
"""


def test_a_library_leaves_signals_alone() -> None:
    command = [sys.executable, "-c", LIBRARY]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=600)
    assert done.stdout.split() == ["-1", "True", "True"], done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_run_begins_is_one_word(tmp_path: Path, number: signal.Signals) -> None:
    process = _started(tmp_path, SLOW_START)
    process.send_signal(number)
    assert _ended(process).strip() == "widthwise: stopped"
    assert not (tmp_path / "a.db").exists()


EXPORT = """
import runpy, signal
from widthwise.evals.store import exchange

rows = 0
def to_json(row, as_it_is=exchange.to_json):
    global rows
    rows += 1
    if rows == 50:
        signal.raise_signal(signal.SIGTERM)
    return as_it_is(row)

exchange.to_json = to_json
runpy.run_module("widthwise", run_name="__main__", alter_sys=True)
"""


@pytest.mark.slow
def test_a_signal_while_a_file_is_written_leaves_the_old_one(tmp_path: Path) -> None:
    row = {"problem_id": "p", "problem": "1?", "answer": "1", "samples": [{"text": "x" * 1000, "answer": "1"}] * 2}
    rows = (json.dumps({**row, "problem_id": f"p{i}"}) + "\n" for i in range(100))
    (tmp_path / "r.jsonl").write_text("".join(rows))
    command = [sys.executable, "-m", "widthwise", "import", "r.jsonl", "a.db"]
    subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, check=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.jsonl").write_text("the old file")
    command = [sys.executable, "-c", EXPORT, "export", "a.db", "out/a.jsonl"]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (130, "widthwise: stopped")
    assert os.listdir(tmp_path / "out") == ["a.jsonl"]
    assert (tmp_path / "out" / "a.jsonl").read_text() == "the old file"


def test_an_interrupted_call_leaves_behind_what_does_not_stop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(run_sync, "_LEAVING_SECONDS", 0.1)
    over = threading.Event()

    async def stubborn() -> None:
        signal.raise_signal(signal.SIGINT)
        while not over.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    async def cell() -> None:
        run_sync.run_sync(stubborn())

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(cell())
        assert "is abandoned" in caplog.text
    finally:
        over.set()
        signal.signal(signal.SIGINT, before)
        loop.close()
