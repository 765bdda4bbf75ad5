"""What time it is for each task that works in a session, in tokens that were sampled one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary, ref

from widthwise.core.trace.trace import Trace, Wait

Task = asyncio.Task[Any]


@dataclass(frozen=True, slots=True)
class Moment:
    """A time, and the piece of a trace whose last token came then; None at the beginning."""

    time: int = 0
    wait: Wait | None = None

    @classmethod
    def of(cls, trace: Trace) -> Moment:
        """When ``trace`` had come as far as it is."""
        return cls(trace.sequential, Wait(trace.id, len(trace.segment)))


def in_order(moment: Moment) -> tuple[object, ...]:
    """Sorts moments by time, those of one time by what came then: never by who was told of them first."""
    return (moment.time, *(moment.wait or ()))


def latest(moments: Iterable[Moment]) -> Moment:
    """The last of some moments; the beginning where there are none."""
    return max(moments, key=in_order, default=Moment())


class Clock:
    """Every task of a session has its own time: that of the last token of all that was delivered to it.

    What a task samples next begins no earlier, for it may depend on anything that the task has seen. A task that
    another one starts begins at the starter's time. Once it is done, what it saw has been seen by its starter too.
    """

    def __init__(self) -> None:
        self._hands: WeakKeyDictionary[Task, _Hand] = WeakKeyDictionary()
        self._first = _Hand(self, None, Moment())  # of nobody: it starts whoever comes from outside

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
        """Let the current task begin work of its own at ``moment``, be that earlier or later than its time."""
        hand = self._hand()
        hand.joined()
        hand.now = moment

    def _hand(self) -> _Hand:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a session samples in tasks of an event loop only")
        if task not in self._hands:
            self._hands[task] = self._begun(task)
        return self._hands[task]

    def _begun(self, task: Task) -> _Hand:
        """The hand of a task that has none yet, begun by the task whose context it inherited."""
        innermost = starter = _STARTER.get()
        while starter is not None and starter.clock is not self:
            starter = starter.before()
        starter = starter or self._first
        hand = _Hand(self, innermost, self._first.joined() if starter is self._first else starter.now)
        starter.started.append((task, hand))
        _STARTER.set(hand)
        return hand


class _Hand:
    """The time of one task; ``started`` are the tasks that it started, as long as they work.

    ``before`` gives the hand that the task had, or inherited, of another session.
    """

    def __init__(self, clock: Clock, before: _Hand | None, now: Moment) -> None:
        self.clock = clock
        # Weak, because one task may hold thousands of sessions one after the other, and those are done with.
        self.before = (lambda: None) if before is None else ref(before)
        self.now = now
        self.started: list[tuple[Task, _Hand]] = []

    def joined(self) -> Moment:
        """The time, with what was seen by the tasks that are done; what a cancelled one saw is lost."""
        done = [(task, hand) for task, hand in self.started if task.done()]
        if done:
            self.started = [(task, hand) for task, hand in self.started if not task.done()]
            seen = [hand.joined() for task, hand in done if not task.cancelled()]
            self.now = latest((self.now, *seen))
        return self.now


_STARTER: ContextVar[_Hand | None] = ContextVar("hand", default=None)
"""The hand of the task that runs; a task that is started inherits its starter's."""
