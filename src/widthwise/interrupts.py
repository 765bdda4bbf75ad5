"""Ctrl-C and SIGTERM: the first ends the work in order, the second at once."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from widthwise.core.event_loop import wake_by_signals

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
    wake_by_signals()
    set_handlers(dict.fromkeys(handlers(), _interrupt))


def handlers() -> dict[signal.Signals, Any]:
    """What SIGINT and SIGTERM call.

    One that is ignored is left out: who started this process wanted that, as a script does with SIGINT for `... &`.
    """
    found = {number: signal.getsignal(number) for number in _SIGNALS}
    return {number: handler for number, handler in found.items() if handler is not signal.SIG_IGN}


def set_handlers(wanted: Mapping[signal.Signals, Any]) -> None:
    """Have each signal call its handler, at once wherever the main thread is: also in code that blocks its loop."""
    for number, handler in wanted.items():
        signal.signal(number, handler)


def can_set_handlers() -> bool:
    """Whether signals can be handled here for a while.

    Python lets only the main thread do it, and a handler that a program in another language has set (None) could not be
    put back.
    """
    here = os.name == "posix" and threading.current_thread() is threading.main_thread()
    return here and None not in handlers().values()


@contextmanager
def cancelled_by_signals() -> Iterator[Stop]:
    """In a command, SIGINT and SIGTERM cancel the current task, once; the next signal acts as before this block.

    A signal that comes too late to cancel anything in the block raises ``KeyboardInterrupt`` at its end. Elsewhere
    nothing changes: the calling program decides what its signals do, and which of its threads gets them.
    """
    stop = Stop()
    if not (_ours and can_set_handlers()):
        yield stop
        return
    task, loop, before = asyncio.current_task(), asyncio.get_running_loop(), handlers()
    called: list[asyncio.Handle] = []

    def cancel() -> None:
        stop.heard = True
        if task is not None:
            task.cancel()

    def hear(*_: Any) -> None:
        _count()
        set_handlers(before)
        # By way of the loop: while the task itself runs, its cancelling could strike after the block.
        called.append(loop.call_soon_threadsafe(cancel))

    set_handlers(dict.fromkeys(before, hear))
    try:
        yield stop
    finally:
        set_handlers(before)
        if called and not stop.heard:
            called[0].cancel()
            raise KeyboardInterrupt


def _interrupt(*_: Any) -> None:
    _count()
    raise KeyboardInterrupt


def _count() -> None:
    global _heard
    _heard += 1
    if _heard > 1:
        _leave()


def _leave() -> NoReturn:
    with suppress(OSError):  # nobody reads it any more: a closed terminal, `2>&1 | head`
        os.write(2, b"widthwise: stopped at once; everything finished is stored\n")
    os._exit(STOPPED)
