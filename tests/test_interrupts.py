"""Ctrl-C, Ctrl-C twice, SIGTERM and a notebook's stop button: everything ends in order, without a traceback."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

import widthwise as ww
from widthwise.core import run_sync

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, "."])}

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
        assert notebook.wait(timeout=60) == 0
    finally:
        notebook.kill()
        notebook.communicate()


async def test_a_sweep_runs_inside_a_running_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signal handlers belong to the main thread: before, a sweep failed in a notebook's thread."""
    monkeypatch.chdir(tmp_path)
    done = ww.sweep(["best_of_n() | majority_vote()"], ["arithmetic"], [1, 2], limit=2, folder="s", max_tokens=5)
    assert done.failures == 0


STUBBORN = """
import asyncio

async def answer(session):
    print("at work", flush=True)
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            print("will not stop", flush=True)
"""

SLOW_START = """
import time
print("at work", flush=True)
time.sleep(1000)
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
        err = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_what_does_not_stop(tmp_path: Path, number: signal.Signals) -> None:
    process = _started(tmp_path, STUBBORN)
    process.send_signal(number)
    assert _line(process) == "will not stop"
    process.send_signal(number)
    assert "stopped at once" in _ended(process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_run_begins_is_one_word(tmp_path: Path, number: signal.Signals) -> None:
    process = _started(tmp_path, SLOW_START)
    process.send_signal(number)
    assert _ended(process).strip() == "widthwise: stopped"
    assert not (tmp_path / "a.db").exists()


@pytest.mark.slow
def test_a_signal_while_a_file_is_written_leaves_the_old_one(tmp_path: Path) -> None:
    row = {"problem_id": "p", "problem": "1?", "answer": "1", "samples": [{"text": "x" * 1000, "answer": "1"}] * 200}
    rows = (json.dumps({**row, "problem_id": f"p{i}"}) + "\n" for i in range(100))
    (tmp_path / "r.jsonl").write_text("".join(rows))
    widthwise = [sys.executable, "-m", "widthwise"]
    subprocess.run([*widthwise, "import", "r.jsonl", "a.db"], cwd=tmp_path, env=ENVIRONMENT, check=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.jsonl").write_text("the old file")
    process = subprocess.Popen(
        [*widthwise, "export", "a.db", "out/a.jsonl"], cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    while len(list((tmp_path / "out").iterdir())) < 2 and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert os.listdir(tmp_path / "out") == ["a.jsonl"]
    written = (tmp_path / "out" / "a.jsonl").read_text()
    assert written == "the old file" if process.returncode else written.count("\n") == 100


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
