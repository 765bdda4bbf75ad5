"""One draw: n continuations of one trace growing side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from widthwise.core.backend import Delta, IntArray, Request, Usage
from widthwise.core.session.call import Call
from widthwise.core.session.clock import Clock, Moment, in_order, latest
from widthwise.core.session.launches import Launches
from widthwise.core.session.watch import Watch
from widthwise.core.trace.growing import Rows, Spelling, Stats
from widthwise.core.trace.trace import Finish, Segment, Trace, TraceId, Wait


class Branch:
    """One continuation while it grows; ``trace`` is a snapshot of it as a value.

    It may have ``room`` tokens in the model's context, where that is known, and ``limit`` tokens in all. It is a
    ``sample`` if it counts as one, and ``whole`` if it is a trace from its first token to its last; it is ``capped`` if
    less was left of a limit on tokens than it might have wanted. ``request`` is for its present piece; most have one
    piece only, but a budget for thinking may let it ``go_on`` ``behind`` what is put between two.
    """

    def __init__(
        self,
        id: TraceId,
        parent: Trace,
        request: Request,
        params: str,
        decode: Callable[[IntArray], str],
        *,
        room: int | None,
        limit: int | None,
    ) -> None:
        self.start = parent.sequential
        self.waited: Wait | None = None
        self.behind: Trace | None = None
        self.sample = self.whole = False
        self.capped = False
        self.tokens = 0
        self.finish: Finish | None = None
        self.reason: str | int | None = None
        self._decode = decode
        self._room = room
        self._limit = limit
        self._piece(id, parent, request, params)

    def _piece(self, id: TraceId, parent: Trace, request: Request, params: str) -> None:
        """Begin a piece, of which nothing is there yet."""
        self.id = id
        self.parent = parent
        self.request = request
        self.params = params
        self._before = self.tokens
        self._ids, self._stats, self._spelling = Rows(), Stats(), Spelling(self._decode)
        self._usage: Usage | None = None
        self._metadata: dict[str, Any] = {}
        self._bound()

    def _bound(self) -> None:
        """Let the piece have no more tokens than are left of all."""
        own, left = self.request.params.max_tokens, self.left
        if left is not None and (own is None or left < own):
            self.request = replace(self.request, params=replace(self.request.params, max_tokens=max(left, 1)))

    def begin(self, moment: Moment, limit: int | None) -> bool:
        """Begin when the parent is there and ``moment`` has come; whether ``limit`` leaves room for a token."""
        if moment.time > self.start:
            self.start, self.waited = moment.time, moment.wait
        if limit is None:
            return True
        room = limit - self.start
        most = room if self._limit is None else min(room, self._limit)
        if most >= 1:
            self._limit = most
            self._bound()
        return most >= 1

    def wait(self, moment: Moment) -> None:
        """Let what comes next begin no earlier than ``moment``."""
        if (late := moment.time - self.moment.time) > 0:
            self.start, self.waited = self.start + late, moment.wait

    def go_on(self, id: TraceId, parent: Trace, request: Request, params: str) -> None:
        """Grow another piece behind ``parent``, which ends with the present one and what was put behind it."""
        self.finish = self.reason = self.waited = None
        self._piece(id, parent, request, params)

    @property
    def moment(self) -> Moment:
        """When the branch had come as far as it is, in sequential tokens."""
        return Moment(self.start + self.tokens, Wait(self.id, self.tokens - self._before))

    @property
    def most(self) -> int | None:
        """How many tokens it may get to at most; None where nothing tells."""
        known = [limit for limit in (self._limit, self._room) if limit is not None]
        return min(known, default=None)

    @property
    def left(self) -> int | None:
        """How many tokens of its limit it has not used; None without one."""
        return None if self._limit is None else self._limit - self.tokens

    def cap(self, tokens: int) -> None:
        """Let it have no more than so many tokens, though it might want more."""
        if self.most is None or tokens < self.most:
            self._limit = tokens
            self.capped = True
            self._bound()

    def take(self, delta: Delta) -> None:
        """Add what the backend delivered, in place of what it delivered before where it begins ``anew``."""
        if delta.anew:
            self.tokens, self._metadata = self._before, {}
            self._ids, self._stats, self._spelling = Rows(), Stats(), Spelling(self._decode)
        if len(delta.token_ids):
            self._ids.extend(delta.token_ids)
            self._stats.extend(delta.stats)
            self.tokens += len(delta.token_ids)
        self._usage = _sum(self._usage, delta.usage)
        self._metadata.update(delta.metadata)
        if delta.finish is not None:
            self.finish, self.reason = delta.finish, delta.stop_reason

    def end(self, finish: Finish, reason: str | int | None = None) -> None:
        """Note why the branch stopped growing, unless it had already finished by itself."""
        if self.finish is None:
            self.finish, self.reason = finish, reason

    @property
    def trace(self) -> Trace:
        """The continuation so far; a snapshot costs no more late in a long trace than early on."""
        ids = self._ids.view if self.tokens > self._before else np.empty(0, np.int64)
        segment = Segment(
            origin="sampled",
            token_ids=ids,
            text=self._spelling.of(ids) if self.finish is None else self._decode(ids),
            stats=self._stats.view,
            finish=self.finish,
            reason=self.reason,
            seed=self.request.seed,
            usage=self._usage,
            params=self.params,
            metadata=dict(self._metadata),
        )
        return Trace(self.id, segment, self.parent, self.start + self.tokens, self.waited)


Source = Callable[[Branch], AsyncIterator[Delta]]


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to a branch: a delta came, or its request failed with ``error``."""

    branch: Branch
    delta: Delta | None = None
    error: Exception | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more comes of the branch."""
        return self.error is not None or (self.delta is not None and self.delta.finish is not None)


class Draw:
    """Runs branches against a backend and hands out their events.

    At most ``width`` branches are in flight; the next begins when one has ended, but none beyond the first
    ``warmup`` before all of these have ended, none where ``sequential`` tokens are reached, and none that ``launches``
    does not allow yet. By ``clock``, a branch waits for the one that left its place, for the warm-up, for the one that
    showed what the limit on tokens still buys, and for what the draw's reader did in between. In
    ``lockstep`` (deterministic backends) the branches advance by one delta each per round and a round's events come in
    branch order, so that what a strategy sees does not depend on timing. Otherwise events come as they happen.
    ``deadline`` is a time of the event loop's clock at which a batch is handed out though it may be empty. ``call``
    asked for it. ``watches`` look after it; ``milestone`` is how long its longest branch was when
    they were last asked, ``held`` the traces whose paths it counts as resident in an ideal prefix cache.
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
        """One event of every live branch in lockstep, else whatever is there; empty at the deadline."""
        events: list[Event] = []
        try:
            async with asyncio.timeout_at(self._deadline):
                events.append(await self._queue.get())
                missing = len(self._pumps) - 1 if self._lockstep else self._queue.qsize()
                for _ in range(missing):
                    events.append(await self._queue.get())
        except TimeoutError:
            self._deadline = None
        return events

    def go_on(self, branch: Branch) -> None:
        """Run the next piece of a branch whose last one has just ended; it keeps its place."""
        if branch in self._over:
            self._over.remove(branch)
        self._pumps[branch] = asyncio.create_task(self._pump(branch))

    def leave(self, branch: Branch) -> None:
        """A branch that was halted has come to its end."""
        self._leave([branch.moment])

    def see(self, moment: Moment) -> None:
        """Who reads the draw gets to see what came at ``moment``: its own next work can begin no earlier."""
        self._clock.advance(moment)
        self._seen = latest((self._seen, moment))

    def drop_waiting(self) -> int:
        """Begin no further branch; how many samples have not begun, those for want of sequential tokens included."""
        dropped, self._refused = sum(branch.sample for branch in self._waiting) + self._refused, 0
        self._waiting.clear()
        return dropped

    async def stop(self, branches: Collection[Branch]) -> list[Event]:
        """Abort these branches; the events that came from them in the meantime."""
        self._leave([self._clock.now] * sum(branch in self._pumps for branch in branches))
        return await self.halt(branches)

    async def halt(self, branches: Collection[Branch]) -> list[Event]:
        """As ``stop``, of branches that keep their places, to ``go_on`` after it."""
        tasks = [self._pumps.pop(branch) for branch in branches if branch in self._pumps]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        queued = [self._queue.get_nowait() for _ in range(self._queue.qsize())]
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
                self._pumps[branch] = asyncio.create_task(self._pump(branch))
            else:
                self._refused += branch.sample
                self._left.append(place)
        self._held_back = False

    def _leave(self, moments: Sequence[Moment]) -> None:
        """Branches left their places at these moments."""
        self._left += moments
        self._ended = latest((self._ended, *moments))

    def _place(self) -> Moment:
        """When the next place is free: from the beginning on or since it was left, the first of them."""
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
            raise RuntimeError("the backend's stream ended without saying why")
        except Exception as error:
            self._queue.put_nowait(Event(branch, error=error))
        finally:
            self._gates.discard(gate)


def _sum(a: Usage | None, b: Usage | None) -> Usage | None:
    """Usages add up: a request that was retried had its prompt served more than once."""
    if a is None or b is None:
        return a or b
    return Usage(a.prompt_cached + b.prompt_cached, a.prompt_computed + b.prompt_computed)
