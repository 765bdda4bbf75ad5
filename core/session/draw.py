"""One draw: n continuations of one trace that grow side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from widthwise.core.backend import Delta
from widthwise.core.brief import Brief
from widthwise.core.errors import BackendError
from widthwise.core.session.branch import Branch
from widthwise.core.session.call import Call
from widthwise.core.session.clock import Clock, Moment, in_order, latest
from widthwise.core.session.launches import Launches
from widthwise.core.session.watch import Watch
from widthwise.core.trace.trace import Trace

_CANCELLED = "the request was cancelled, but not by the strategy: a task of the backend's was"

Source = Callable[[Branch], AsyncIterator[Delta]]


@dataclass(frozen=True, slots=True)
class Event(Brief):
    """Something happened to a branch: a delta came, or its request failed with ``error``."""

    branch: Branch
    delta: Delta | None = None
    error: BaseException | None = None

    @property
    def over(self) -> bool:
        """Whether this is the branch's last event."""
        return self.error is not None or (self.delta is not None and self.delta.finish is not None)


class Draw:
    """Runs branches against a backend and hands out their events.

    At most ``width`` branches are in flight, and the next begins when one has ended. But none after the first
    ``warmup`` begins before all of these have ended, none once ``sequential`` tokens are reached, and none that
    ``launches`` does not allow yet. By ``clock``, a branch waits for the one that left its place, for the warm-up, for
    the one that showed what the token limit still buys, and for what the draw's reader did in between. In ``lockstep``
    (deterministic backends) the branches advance by one delta each per round and a round's events come in branch order,
    so what a strategy sees does not depend on timing. Otherwise events come as they happen. ``deadline`` is a time of
    the event loop's clock at which a batch is handed out even if it is empty. ``call`` requested the draw, and
    ``watches`` look after it. ``milestone`` is how long its longest branch was when they were last asked, ``held`` the
    traces whose paths it counts as resident in an ideal prefix cache.
    """

    def __init__(
        self,
        branches: list[Branch],
        call: Call,
        source: Source,
        clock: Clock,
        launches: Launches,
        *,
        sequential: int | None = None,
        lockstep: bool,
        width: int,
        watches: Sequence[Watch[Any]] = (),
        deadline: float | None = None,
    ) -> None:
        self.branches = branches
        self.call = call
        self.watches = watches
        self.milestone = 0
        self.held: list[Trace] = []
        self._waiting = list(reversed(branches))
        self._source = source
        self._clock = clock
        self._sequential = sequential
        self._begun = self._seen = self._ended = clock.now
        self._held_back = False
        self._left: list[Moment] = []
        self._refused = 0
        self._launches = launches
        self._lockstep = lockstep
        self._width = width
        self._warmup = branches[: call.warmup]
        self._deadline = deadline
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._interrupted: list[Event] = []
        self._pumps: dict[Branch, asyncio.Task[None]] = {}
        self._gates: set[asyncio.Event] = set()
        self._over: list[Branch] = []

    @property
    def live(self) -> list[Branch]:
        """Branches in flight, in order."""
        return sorted(self._pumps, key=lambda branch: branch.id)

    @property
    def longest(self) -> int:
        """Tokens of the longest branch in flight."""
        return max((branch.tokens for branch in self._pumps), default=0)

    async def batches(self) -> AsyncIterator[list[Event]]:
        """Batches of events until every branch has ended or was stopped."""
        self._refill()
        while self._pumps:
            events = await self._batch()
            self._over = [event.branch for event in events if event.over]
            for branch in self._over:
                self._pumps.pop(branch, None)
            yield sorted(events, key=lambda event: event.branch.id)
            self._leave([branch.moment for branch in self._over])
            self._refill()
            for gate in self._gates:
                gate.set()

    async def _batch(self) -> list[Event]:
        """One event of every live branch in lockstep, else whatever is available; empty at the deadline."""
        events: list[Event] = []
        try:
            async with asyncio.timeout_at(self._deadline):
                events.append(await self._queue.get())
                missing = len(self._pumps) - 1 if self._lockstep else self._queue.qsize()
                for _ in range(missing):
                    events.append(await self._queue.get())
        except TimeoutError:
            self._deadline = None
        except asyncio.CancelledError:  # what had come was sampled: who stops the branches is to charge it
            self._interrupted = events
            raise
        return events

    def go_on(self, branch: Branch) -> None:
        """Run the next piece of a branch whose last piece has just ended; it keeps its place."""
        if branch in self._over:
            self._over.remove(branch)
        self._start(branch)

    def leave(self, branch: Branch) -> None:
        """A branch that was halted has come to its end."""
        self._leave([branch.moment])

    def see(self, moment: Moment) -> None:
        """The draw's reader gets to see what came at ``moment``: its own next work begins no earlier."""
        self._clock.advance(moment)
        self._seen = latest((self._seen, moment))

    def drop_waiting(self) -> int:
        """Begin no further branch; returns how many samples have not begun, including for lack of sequential tokens."""
        dropped, self._refused = sum(branch.sample for branch in self._waiting) + self._refused, 0
        self._waiting.clear()
        return dropped

    async def stop(self, branches: Collection[Branch]) -> list[Event]:
        """Abort these branches; the events that came from them in the meantime."""
        self._leave([self._clock.now] * sum(branch in self._pumps for branch in branches))
        return await self.halt(branches)

    async def halt(self, branches: Collection[Branch]) -> list[Event]:
        """Like ``stop``, for branches that keep their places and ``go_on`` afterwards."""
        tasks = [self._pumps.pop(branch) for branch in branches if branch in self._pumps]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        queued = [*self._interrupted, *(self._queue.get_nowait() for _ in range(self._queue.qsize()))]
        self._interrupted = []
        for event in queued:
            if event.branch not in branches:
                self._queue.put_nowait(event)
        return [event for event in queued if event.branch in branches]

    def _refill(self) -> None:
        while self._waiting and len(self._pumps) < self._width:
            warming_up = any(branch in self._pumps for branch in self._warmup)
            if warming_up and self._waiting[-1] not in self._warmup:
                return
            if not self._launches.allows(self._waiting[-1], self._pumps):
                self._held_back = True
                return
            branch = self._waiting.pop()
            place = self._place()
            if branch.begin(self._turn(branch, place), self._sequential):
                self._launches.begin(branch, () if branch.whole else self._waiting)
                self._start(branch)
            else:
                self._refused += branch.sample
                self._left.append(place)
        self._held_back = False

    def _leave(self, moments: Sequence[Moment]) -> None:
        """Branches left their places at these moments."""
        self._left += moments
        self._ended = latest((self._ended, *moments))

    def _place(self) -> Moment:
        """When the earliest place became free: at the beginning or when it was left."""
        if len(self._pumps) + len(self._left) < self._width:
            return self._begun
        self._left.sort(key=in_order)
        return self._left.pop(0)

    def _turn(self, branch: Branch, place: Moment) -> Moment:
        """When ``branch`` may begin there: after the warm-up, what showed that it may, and what the reader did."""
        warm = () if branch in self._warmup else [early.moment for early in self._warmup]
        now = self._clock.now
        ended = self._ended if self._held_back else self._begun
        return latest((place, ended, *warm, now if now.time > self._seen.time else self._begun))

    def _start(self, branch: Branch) -> None:
        pump = self._pumps[branch] = asyncio.create_task(self._pump(branch))
        pump.add_done_callback(partial(self._broken_off, branch))

    def _broken_off(self, branch: Branch, pump: asyncio.Task[None]) -> None:
        """The draw waits for an event of each of its branches, also of one that it did not cancel itself."""
        error = BackendError(_CANCELLED) if pump.cancelled() else pump.exception()
        if error is not None and self._pumps.get(branch) is pump:
            self._queue.put_nowait(Event(branch, error=error))

    async def _pump(self, branch: Branch) -> None:
        gate = asyncio.Event()
        self._gates.add(gate)
        try:
            async with aclosing(self._source(branch)) as deltas:  # type: ignore[type-var]
                async for delta in deltas:
                    gate.clear()
                    self._queue.put_nowait(Event(branch, delta))
                    if delta.finish is not None:
                        return
                    if self._lockstep:
                        await gate.wait()
            raise RuntimeError("the backend's stream ended without a finish reason")
        except Exception as error:
            self._queue.put_nowait(Event(branch, error=error))
        finally:
            self._gates.discard(gate)
