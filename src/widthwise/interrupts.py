"""Ctrl-C and SIGTERM: the first ends the work in order, the second at once."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

STOPPED = 130
"""The exit status of a command that was interrupted, as shells know it."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ours = False
"""Whether this process is a command. Signals belong to the program: a library leaves them alone."""
_heard = 0


@dataclass(slots=True)
class Stop:
    """Whether a signal has ended the work."""

    heard: bool = False


def catch_signals() -> None:
    """For a command: SIGINT and SIGTERM raise ``KeyboardInterrupt``, and a second one ends the process at once.

    Everything finished is stored by then; a process that ends in the middle of its clean-up loses no more than a
    killed one.
    """
    global _ours
    _ours = True
    for number in _SIGNALS:
        signal.signal(number, _interrupt)


@contextmanager
def cancelled_by_signals() -> Iterator[Stop]:
    """In a command, SIGINT and SIGTERM cancel the current task, once; the next signal acts as before this block.

    Elsewhere nothing changes: the calling program decides what its signals do, and which of its threads gets them.
    """
    stop = Stop()
    if not _ours or threading.current_thread() is not threading.main_thread() or os.name != "posix":
        yield stop
        return
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            if loop.remove_signal_handler(number):
                signal.signal(number, handler)

    def cancel() -> None:
        global _heard
        _heard += 1
        stop.heard = True
        restore()
        if task is not None:
            task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, cancel)
    try:
        yield stop
    finally:
        restore()


def _interrupt(number: int, _: Any) -> None:
    global _heard
    _heard += 1
    if _heard > 1:
        _leave()
    raise KeyboardInterrupt


def _leave() -> NoReturn:
    os.write(2, b"widthwise: stopped at once; everything finished is stored\n")
    os._exit(STOPPED)
