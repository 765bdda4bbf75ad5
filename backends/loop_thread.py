"""A separate event loop in a thread, for engines that outlive the caller's event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Coroutine, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, ref

from widthwise.core.errors import BackendError

_log = logging.getLogger(__name__)

T = TypeVar("T")

_FORKED = (
    "the backend was opened before this process was forked, and its connections belong to the parent: open another "
    "one here"
)


@dataclass(frozen=True, slots=True)
class _End:
    error: Exception | None = None


class _Post:
    """Calls for another loop, delivered in batches: waking a loop costs more than most calls."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = ref(loop)  # else a loop would live as long as any loop that once delivered to it
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._called = False

    def send(self, call: Callable[..., object], *args: Any) -> None:
        """Have ``call`` made there; raises RuntimeError if that loop is closed."""
        self._calls.append((call, args))
        if not self._called:
            self._called = True
            try:
                if (loop := self._loop()) is None:
                    raise RuntimeError("the loop is gone")
                loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:
                self._called = False
                self._calls.clear()
                raise

    def _deliver(self) -> None:
        self._called = False  # first: whatever is sent from here on wakes the loop again
        while self._calls:
            call, args = self._calls.popleft()
            call(*args)


class _Stream:
    """One stream on its way from the thread's loop to its reader's."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self._items: deque[Any] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def put(self, item: Any) -> None:
        self._items.append(item)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def get(self) -> Any:
        while not self._items:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._items.popleft()

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()


class LoopThread:
    """Runs coroutines and async generators in a daemon thread's event loop.

    An engine or a connection is bound to the loop it was started in, while a caller may use several loops in turn (each
    ``asyncio.run`` is a new one). The work is done here; callers only pick up the results.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()
        self._inbox = _Post(self._loop)
        self._outboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Post] = WeakKeyDictionary()
        self._streams: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._process = os.getpid()

    def call(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """The result of ``work``; blocks the calling thread (for at most ``timeout`` seconds)."""
        if self._process != os.getpid():
            work.close()
            raise BackendError(_FORKED)
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Have ``work`` done in the thread until its end."""
        asyncio.run_coroutine_threadsafe(work, self._loop)

    async def stream(self, source: AsyncGenerator[T, None]) -> AsyncIterator[T]:
        """The items of ``source``, which runs in the thread; closing this iterator closes it there.

        Raises BackendError when ``end_streams`` is called before the source's end.
        """
        if self._process != os.getpid():
            raise BackendError(_FORKED)
        if self._closing:
            raise BackendError("the backend has been closed")
        reader = asyncio.get_running_loop()
        stream, outbox = _Stream(), self._outboxes.setdefault(reader, _Post(reader))
        self._inbox.send(self._begin_stream, stream, source, outbox)
        over = False
        try:
            while not (over := isinstance(item := await stream.get(), _End)):
                yield item
        finally:
            if not over:
                with suppress(RuntimeError):  # the thread has ended, and the stream with it
                    self._inbox.send(stream.cancel)
        if item.error is not None:
            raise item.error

    def end_streams(self, timeout: float = 5.0) -> None:
        """Close every running stream and begin no other; returns when they are closed."""
        self._closing = True
        with _hurried("its streams"):
            self.call(self._end_streams(), timeout)

    def stop(self) -> None:
        """End everything that still runs, the loop and its thread; in a forked process there is nothing to end."""
        if self._process != os.getpid():
            return
        self.end_streams()
        with _hurried("its tasks"):
            self.call(self._end_tasks(), timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        if not self._thread.is_alive():
            self._loop.close()

    async def _end_streams(self) -> None:
        await _cancelled(self._streams)

    async def _end_tasks(self) -> None:
        await _cancelled(asyncio.all_tasks() - {asyncio.current_task()})

    def _begin_stream(self, stream: _Stream, source: AsyncGenerator[Any, None], outbox: _Post) -> None:
        stream.task = self._loop.create_task(self._pump(source, stream, outbox))

    async def _pump(self, source: AsyncGenerator[T, None], stream: _Stream, outbox: _Post) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        end = _End(BackendError("the backend was closed while the request ran"))
        try:
            async with aclosing(source):
                async for item in source:
                    outbox.send(stream.put, item)
            end = _End()
        except Exception as error:
            end = _End(error)
        finally:
            self._streams.discard(task)
            with suppress(RuntimeError):  # the caller's loop is gone: nothing waits
                outbox.send(stream.put, end)


@contextmanager
def _hurried(what: str) -> Iterator[None]:
    """Go on if closing takes too long: the thread is a daemon and ends with the process."""
    try:
        yield
    except TimeoutError:
        _log.warning("a backend was closed before %s had ended", what)


async def _cancelled(tasks: Collection[asyncio.Task[Any] | None]) -> None:
    left = [task for task in tasks if task is not None]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
