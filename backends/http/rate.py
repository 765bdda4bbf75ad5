"""When requests may be sent to a server: as it says, and as its refusals teach."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from widthwise.backends.http.rate_headers import remaining, told_wait, used_up

_log = logging.getLogger(__name__)

_FIRST_BURST = 8.0
"""Requests that a server gets at first, before it has answered one."""
_GROWTH = 0.5
"""How many more it gets for each request that it accepts: half as many again altogether."""
_LONGEST_STRETCH = 60.0
"""Seconds over which requests are counted while no limit is known: most limits are per minute."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_PATIENCE = 4
"""Stretches that use up a limit without a refusal before a little more is tried."""

NEVER = float("inf")


@dataclass(slots=True, eq=False)
class Turn:
    """One request's permission to be sent, at the loop's time ``at``; a ``probe`` tests whether a server takes more."""

    at: float
    probe: bool = False
    answered: bool = False


class Gate:
    """One server's gate; all requests to it pass through here, in order of arrival.

    A refusal (429 and the like) closes the gate for all, until the time that the server names or for growing pauses.
    Then one request tests whether it is open again. The requests accepted since the gate last opened, over the time
    until it opened again, become the limit from then on: ``count`` requests in any ``seconds``. From time to time a
    little more is tried. A server that refuses without naming a time is assumed to be full instead: no more requests
    are sent at once than it was working on, until some have ended (and a little more with each that ends). To be used
    in one event loop.
    """

    def __init__(self) -> None:
        self.count: int | None = None
        self.seconds = _LONGEST_STRETCH
        self._waiting: deque[asyncio.Future[Turn]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._taken: deque[float] = deque()
        self._unanswered, self._under_way = 0, 0
        self._burst, self._left, self._most = _FIRST_BURST, NEVER, NEVER
        self._opens, self._opened, self._began = 0.0, -NEVER, -NEVER
        self._closed = self._used_up = self._fresh = False
        self._refusals, self._clean, self._patience = 0, 0, _PATIENCE

    @property
    def is_open(self) -> bool:
        return not self._closed

    async def enter(self) -> Turn:
        """Wait for a turn. The caller then reports how it went: ``answered`` or ``refused``, and finally ``left``."""
        if not self._waiting and self._pause() <= 0:
            return self._begin()
        place: asyncio.Future[Turn] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self._go_on()
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.left(place.result())
            raise

    def answered(self, turn: Turn, headers: Mapping[str, str]) -> None:
        """The server accepts the request."""
        self._answer(turn)
        self._burst += _GROWTH
        if turn.probe or not self._closed:
            self._refusals = 0
        if turn.probe:
            self._open(turn)
        left = remaining(headers)
        self._left = NEVER if left is None else left
        if (wait := used_up(headers)) is not None:
            self._closed, self._left = True, NEVER
            self._opens = max(self._opens, self._now + wait)
        self._go_on()

    def refused(self, turn: Turn, headers: Mapping[str, str], body: str = "") -> None:
        """The server takes no more at present."""
        self._answer(turn)
        if turn.at in self._taken:
            self._taken.remove(turn.at)
        wait = told_wait(headers, body)
        if turn.probe or not self._closed:
            self._refusals += 1
            _log.info("a server takes no more requests at present (%s)", "no time named" if wait is None else wait)
        if wait is None:
            wait = min(_FIRST_PAUSE * 2.0 ** (self._refusals - 1), _LONGEST_PAUSE)
            self._most = self._under_way - self._unanswered - 1 or NEVER
        self._closed = True
        self._opens = max(self._opens, self._now + wait)
        turn.probe = False
        self._go_on()

    def left(self, turn: Turn) -> None:
        """The request is over, however it went."""
        self._answer(turn)
        self._under_way -= 1
        self._most += max(1 / self._most, 0.1)
        turn.probe = False
        self._go_on()

    # -- how it is decided -------------------------------------------------------------------------------------

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _answer(self, turn: Turn) -> None:
        if not turn.answered:
            turn.answered = True
            self._unanswered -= 1

    def _pause(self) -> float:
        """Seconds until the next request may be sent; NEVER: not before another one is answered or over."""
        if self._now < self._opens:
            return self._opens - self._now
        if self._closed:
            return NEVER if self._unanswered else 0.0
        if self._unanswered >= min(self._burst, self._left) or self._under_way >= self._most:
            return NEVER if self._under_way else 0.0
        return self._until_limit()

    def _until_limit(self) -> float:
        while self._taken and self._taken[0] <= self._now - self.seconds:
            self._taken.popleft()
        if self.count is None or len(self._taken) < self.count:
            return 0.0
        self._used_up = True
        return self._taken[-self.count] + self.seconds - self._now

    def _begin(self) -> Turn:
        if not self._closed and self._now >= self._began + self.seconds:
            self._next_stretch()
        self._unanswered += 1
        self._under_way += 1
        self._taken.append(self._now)
        return Turn(self._now, probe=self._closed)

    def _next_stretch(self) -> None:
        """Another stretch of time without a refusal: if several have used up the limit, it may be higher."""
        if self._opened == -NEVER or self.count is None:
            self._opened = self._now
        self._began = self._now
        self._clean += self._used_up
        if self._fresh and self.count is not None:
            self._burst = _careful(self.count)
        self._used_up = self._fresh = False
        if self.count is not None and self._clean >= self._patience:
            self.count, self._clean = self.count + max(1, self.count // 20), 0

    def _open(self, probe: Turn) -> None:
        """The ``probe`` was accepted: learn from what had been accepted before the refusal."""
        self._closed = False
        known, since = self.count is not None, probe.at - self._opened
        seconds = since if not known or since <= 2 * self.seconds else self.seconds
        count = sum(at > probe.at - seconds - 1e-6 for at in self._taken) - 1
        if count > 0 and seconds > 0 and self._most == NEVER:
            self.count, self.seconds = count, seconds
            self._burst, self._fresh = _careful(count), True
            self._patience, self._clean = min(self._patience * (2 if known else 1), 64), 0
            _log.info("a server takes %d requests in %.3g seconds: no more are sent", count, seconds)
        self._began = self._opened = probe.at

    def _go_on(self) -> None:
        """Let in the requests that may go, and look again when the next one may."""
        while self._waiting and self._pause() <= 0:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(self._begin())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting and (pause := self._pause()) < NEVER:
            self._timer = asyncio.get_running_loop().call_later(pause, self._go_on)


def _careful(count: int) -> float:
    """How many requests are sent at once under a newly learned limit."""
    return max(2.0, count / 4)
