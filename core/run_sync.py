"""Coroutines from code that is not async."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, wait
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

from widthwise.core.event_loop import run_loop

T = TypeVar("T")

_log = logging.getLogger(__name__)

_waited: ContextVar[bool] = ContextVar("waited", default=False)

_POLL_SECONDS = 0.2
_LEAVING_SECONDS = 30.0
"""How many seconds an interrupted call waits for what it had started; anything that hangs longer is abandoned."""


def run_sync(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, even if an event loop is already running (a notebook).

    An interrupt (Ctrl-C, a notebook's stop button) cancels it, and is raised when it has ended.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run_loop(_noted(work))
    return _in_thread(_noted(work))


def is_waited() -> bool:
    """Whether the running loop is one of ``run_sync``, which ends with the call: what is bound to a loop, such as a
    connection, does not outlive it."""
    return _waited.get()


async def _noted(work: Coroutine[Any, Any, T]) -> T:
    _waited.set(True)
    return await work


def _in_thread(work: Coroutine[Any, Any, T]) -> T:
    begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = Future()
    done: Future[T] = Future()

    async def cancellable() -> T:
        task = asyncio.current_task()
        assert task is not None
        begun.set_result((asyncio.get_running_loop(), task))
        return await work

    def run() -> None:
        try:
            done.set_result(run_loop(cancellable()))
        except BaseException as error:
            done.set_exception(error)

    # A daemon: the interpreter's exit does not wait for what an interrupt could not end.
    thread = threading.Thread(target=copy_context().run, args=(run,), name="widthwise", daemon=True)
    try:
        thread.start()
        # With a limit, since an interrupt that is not a signal of the system does not wake a waiting thread.
        while not wait([done], timeout=_POLL_SECONDS).done:
            pass
        return done.result()
    except BaseException:
        if not done.done():  # it is this thread that was interrupted
            loop, task = begun.result(_LEAVING_SECONDS)
            loop.call_soon_threadsafe(task.cancel)
            _wait_for(done)
        raise


def _wait_for(done: Future[Any]) -> None:
    try:
        done.exception(timeout=_LEAVING_SECONDS)
    except TimeoutError:
        _log.warning("interrupted work has not ended within %g seconds and is abandoned", _LEAVING_SECONDS)
