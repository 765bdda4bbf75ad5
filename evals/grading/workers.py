"""Killable worker processes that run symbolic checks with limits on time, memory and length.

Every check is answered within its time limit whatever the strings: a worker that runs over, dies or runs out of memory
is replaced, and its check counts as a disagreement.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import queue
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from widthwise.core.errors import WidthwiseError
from widthwise.evals.grading import symbolic

_STARTUP_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Check:
    """One question to a worker.

    ``equal``: do both texts mean the same. ``close``: are both numbers, apart by at most ``absolute`` or
    ``relative`` times the gold one. ``parses``: can ``gold`` be read as mathematics.
    """

    kind: Literal["equal", "close", "parses"]
    gold: str
    prediction: str = ""
    absolute: float = 0.0
    relative: float = 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one check may take: processor seconds, wall seconds (for a loaded machine), bytes, characters of a text."""

    cpu_seconds: float = 3.0
    wall_seconds: float = 20.0
    memory_bytes: int = 1 << 30
    chars: int = 2_000

    def __post_init__(self) -> None:
        if min(self.cpu_seconds, self.wall_seconds, self.memory_bytes, self.chars) <= 0:
            raise ValueError("the limits of a check must be positive")


class _Worker:
    """One process; lives in one thread of the pool."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # -P keeps this folder off the worker's path; a session of its own keeps the terminal's Ctrl-C away from it.
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(Path(symbolic.__file__)), str(limits.memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if self._receive(_STARTUP_SECONDS) is None:
            self.kill()
            raise WidthwiseError("a grading worker could not start: check that `import math_verify` works here")

    def verdict(self, check: Check) -> bool | None:
        """The answer to ``check``; None when the worker did not survive it."""
        request = asdict(check) | {"cpu_seconds": self._limits.cpu_seconds}
        try:
            symbolic.write_message(_pipe(self.process.stdin), request)
        except OSError:
            return None
        reply = self._receive(self._limits.wall_seconds)
        return None if reply is None else bool(reply["verdict"])

    def _receive(self, seconds: float) -> dict[str, Any] | None:
        timer = threading.Timer(seconds, self.process.kill)
        timer.daemon = True
        timer.start()
        try:
            return symbolic.read_message(_pipe(self.process.stdout))
        finally:
            timer.cancel()

    def kill(self) -> None:
        self.process.kill()
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):  # what was still unsent cannot be delivered any more
                _pipe(stream).close()
        self.process.wait()


def _pipe(stream: Any) -> BinaryIO:
    pipe: BinaryIO = stream
    return pipe


class Workers:
    """A lazily started pool of ``size`` workers with a cache of ``cache_size`` verdicts; safe to share between threads.

    The processes end with :meth:`close`, with the interpreter, or when their parent dies.
    """

    def __init__(self, size: int = 2, limits: Limits | None = None, cache_size: int = 100_000) -> None:
        if size < 1:
            raise ValueError(f"a pool needs at least one worker, not {size}")
        self.size = size
        self.limits = limits or Limits()
        self._cache_size = cache_size
        self._cache: OrderedDict[Check, bool] = OrderedDict()
        self._fatal: set[str] = set()
        self._lock = threading.Lock()
        self._reset()
        atexit.register(self.close)

    def check(self, check: Check) -> bool:
        """The verdict on ``check``, waited for; raises WidthwiseError when no worker can be started."""
        return self.submit(check).result()

    async def check_async(self, check: Check) -> bool:
        """The verdict on ``check``; a cancelled caller leaves the pool usable."""
        return await asyncio.wrap_future(self.submit(check))

    def submit(self, check: Check) -> Future[bool]:
        """Queue ``check``; False at once for a text that is too long or has cost a worker by itself before."""
        future: Future[bool] = Future()
        if self._hopeless(check):
            future.set_result(False)
        elif (known := self._recall(check)) is not None:
            future.set_result(known)
        else:
            self._start_thread()
            self._queue.put((check, future))
        return future

    def close(self) -> None:
        """End all workers; a later check starts new ones."""
        with self._lock:
            workers, threads, tasks = list(self._workers), self._threads, self._queue
            self._reset()
        for _ in range(threads):
            tasks.put(None)
        for worker in workers:
            worker.process.kill()

    def _reset(self) -> None:
        self._queue: queue.SimpleQueue[tuple[Check, Future[bool]] | None] = queue.SimpleQueue()
        self._workers: set[_Worker] = set()
        self._threads = 0
        self._idle = 0
        self._pid = os.getpid()

    def _start_thread(self) -> None:
        with self._lock:
            if self._pid != os.getpid():  # forked: the threads stayed behind, and the workers are the parent's
                self._reset()
            if self._idle > self._queue.qsize() or self._threads == self.size:
                return
            self._threads += 1
            thread = threading.Thread(target=self._serve, args=(self._queue,), name="widthwise-grading", daemon=True)
        thread.start()

    def _serve(self, tasks: queue.SimpleQueue[tuple[Check, Future[bool]] | None]) -> None:
        worker: _Worker | None = None
        while (task := self._next(tasks)) is not None:
            check, future = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                worker, verdict = self._verdict(worker, check)
                if tasks is self._queue:  # a check lost because the pool was closed says nothing about its texts
                    self._remember(check, verdict)
                future.set_result(verdict)
            except Exception as error:  # the caller hears of it; the thread lives on for the next check
                if worker is not None:
                    self._dismiss(worker)
                worker = None
                future.set_exception(error)
        if worker is not None:
            self._dismiss(worker)

    def _verdict(self, worker: _Worker | None, check: Check) -> tuple[_Worker | None, bool]:
        """The verdict and the worker that goes on; a check that no worker survives is a disagreement."""
        known = self._recall(check)
        if known is not None or self._hopeless(check):
            return worker, bool(known)
        begin = time.monotonic()
        for _ in range(2):
            worker = worker or self._hire()
            verdict = worker.verdict(check)
            if verdict is not None:
                return worker, verdict
            self._dismiss(worker)
            worker = None
            if time.monotonic() - begin >= self.limits.cpu_seconds:
                return self._blame(check), False
            # It was not the time: perhaps somebody else ended the worker, so the check gets a second chance.
        return None, False

    def _blame(self, check: Check) -> _Worker | None:
        """Find out which text of a lost check is fatal by itself, so that it is not tried against every other one."""
        worker: _Worker | None = None
        for text in {check.gold, check.prediction} - {""}:
            worker = worker or self._hire()
            if worker.verdict(Check("parses", text)) is None:
                self._dismiss(worker)
                worker = None
                with self._lock:
                    self._fatal.add(text)
        return worker

    def _hopeless(self, check: Check) -> bool:
        texts = (check.gold, check.prediction)
        return any(len(text) > self.limits.chars or text in self._fatal for text in texts)

    def _next(self, tasks: queue.SimpleQueue[tuple[Check, Future[bool]] | None]) -> tuple[Check, Future[bool]] | None:
        with self._lock:
            self._idle += 1
        task = tasks.get()
        with self._lock:
            self._idle -= 1
        return task

    def _hire(self) -> _Worker:
        worker = _Worker(self.limits)
        with self._lock:
            self._workers.add(worker)
        return worker

    def _dismiss(self, worker: _Worker) -> None:
        with self._lock:
            self._workers.discard(worker)
        worker.kill()

    def _recall(self, check: Check) -> bool | None:
        with self._lock:
            if check in self._cache:
                self._cache.move_to_end(check)
            return self._cache.get(check)

    def _remember(self, check: Check, verdict: bool) -> None:
        with self._lock:
            self._cache[check] = verdict
            while len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)
