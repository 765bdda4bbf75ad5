"""The time of each task that works in a session, measured in tokens sampled one after another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary, ref

from widthwise.core.trace.trace import Trace, TraceWait

Task = asyncio.Task[Any]


@dataclass(frozen=True, slots=True)
class Moment:
    """A time, and the piece of a trace whose last token came then; None at the beginning."""

    time: int = 0
    wait: TraceWait | None = None

    @classmethod
    def of(cls, trace: Trace) -> Moment:
        """When ``trace`` reached its current length."""
        return cls(trace.sequential, TraceWait(trace.id, len(trace.segment)))


def in_order(moment: Moment) -> tuple[object, ...]:
    """Sorts moments by time, equal times by what came then, never by which task was told first."""
    return (moment.time, *(moment.wait or ()))


def latest(moments: Iterable[Moment]) -> Moment:
    """The last of some moments; the beginning if there are none."""
    return max(moments, key=in_order, default=Moment())


class Clock:
    """Every task of a session has its own time: that of the last token of everything delivered to it.

    What a task samples next begins no earlier, because it may depend on anything the task has seen. A task begins at
    the time of the task that starts it. When it is done, the starter has seen what it saw.
    """

    def __init__(self) -> None:
        self._hands: WeakKeyDictionary[Task, _Hand] = WeakKeyDictionary()
        self._first = _Hand(self, None, Moment())  # belongs to no task: it starts every task from outside

    @property
    def now(self) -> Moment:
        """The current task's time."""
        return self._hand().joined()

    def advance(self, moment: Moment) -> Moment:
        """The current task has seen what came at ``moment``; its time."""
        hand = self._hand()
        hand.now = latest((hand.joined(), moment))
        return hand.now

    def set(self, moment: Moment) -> None:
        """Let the current task begin its own work at ``moment``, whether that is earlier or later than its time."""
        hand = self._hand()
        hand.joined()
        hand.now = moment

    def _hand(self) -> _Hand:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a session can only sample in tasks of an event loop")
        if task not in self._hands:
            self._hands[task] = self._begun(task)
        return self._hands[task]

    def _begun(self, task: Task) -> _Hand:
        """The hand of a task that has none yet, started by the task whose context it inherited."""
        innermost = starter = _STARTER.get()
        while starter is not None and starter.clock is not self:
            starter = starter.before()
        starter = starter or self._first
        hand = _Hand(self, innermost, self._first.joined() if starter is self._first else starter.now)
        starter.started.append((task, hand))
        _STARTER.set(hand)
        return hand


class _Hand:
    """The time of one task; ``started`` are the tasks that it started and that are still working.

    ``before`` gives the hand that the task had, or inherited, from another session.
    """

    def __init__(self, clock: Clock, before: _Hand | None, now: Moment) -> None:
        self.clock = clock
        # Weak, because one task may go through thousands of sessions, and the finished ones must be freed.
        self.before = (lambda: None) if before is None else ref(before)
        self.now = now
        self.started: list[tuple[Task, _Hand]] = []

    def joined(self) -> Moment:
        """The time, including what finished tasks have seen; what a cancelled task saw is lost."""
        done = [(task, hand) for task, hand in self.started if task.done()]
        if done:
            self.started = [(task, hand) for task, hand in self.started if not task.done()]
            seen = [hand.joined() for task, hand in done if not task.cancelled()]
            self.now = latest((self.now, *seen))
        return self.now


_STARTER: ContextVar[_Hand | None] = ContextVar("hand", default=None)
"""The hand of the running task; a new task inherits its starter's."""
