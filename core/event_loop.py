"""The event loop that runs until a coroutine ends, and that a signal wakes."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

_signals: int | None = None
"""Where the loops of the main thread read that a signal came, in a program that has asked for it."""


def wake_by_signals() -> None:
    """For a program: from now on, every signal wakes the loop that the main thread runs in ``run_loop``.

    Python runs a signal's handler between two of its own instructions. A loop executes none while it waits, so that a
    signal which comes just before, or in another thread, is otherwise handled only at the loop's next event, maybe
    never. Windows' own loop is woken without this.
    """
    global _signals
    if _signals is not None or os.name != "posix":
        return
    _signals, written = os.pipe()
    for end in (_signals, written):
        os.set_blocking(end, False)
    # It stays open to the end of the process: a signal must never write into whatever has its number next.
    signal.set_wakeup_fd(written, warn_on_full_buffer=False)


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run``, in a loop that signals wake if the program wants that (see ``wake_by_signals``)."""
    with asyncio.Runner() as runner:
        if _signals is not None and threading.current_thread() is threading.main_thread():
            runner.get_loop().add_reader(_signals, _drain, _signals)
        return runner.run(work)


def _drain(end: int) -> None:
    with suppress(BlockingIOError):
        os.read(end, 4096)
