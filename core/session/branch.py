"""A continuation of a trace that is still growing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from widthwise.core.arrays import IntArray
from widthwise.core.backend import Delta, Request, Usage
from widthwise.core.session.clock import Moment
from widthwise.core.trace.growing import Rows, Spelling, Stats
from widthwise.core.trace.trace import Finish, Segment, Trace, TraceId, TraceWait


class Branch:
    """One continuation while it grows; ``trace`` is a snapshot of it as a value.

    It has ``room`` tokens in the model's context, where that is known, and may have ``limit`` tokens in all. It is a
    ``sample`` if it counts as one, and ``whole`` if it is a trace from its first token to its last. It is ``capped`` if
    less was left of a token limit than it might have wanted. ``request`` is for its current piece. Most branches have a
    single piece, but with a thinking budget a branch may ``go_on`` ``behind`` text that is inserted between two pieces.
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
        self.model = parent.model
        self.start = parent.sequential
        self.waited: TraceWait | None = None
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
        """Begin a piece, with no tokens yet."""
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
        """Limit the piece to the tokens that are left of the branch's limit."""
        own, left = self.request.params.max_tokens, self.left
        if left is not None and (own is None or left < own):
            self.request = replace(self.request, params=replace(self.request.params, max_tokens=max(left, 1)))

    def begin(self, moment: Moment, limit: int | None) -> bool:
        """Begin when the parent exists and ``moment`` has come; whether ``limit`` leaves room for a token."""
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
        """Let the next piece begin no earlier than ``moment``."""
        if (late := moment.time - self.moment.time) > 0:
            self.start, self.waited = self.start + late, moment.wait

    def go_on(self, id: TraceId, parent: Trace, request: Request, params: str) -> None:
        """Grow another piece after ``parent``, which is the current piece and the text inserted after it."""
        self.finish = self.reason = self.waited = None
        self._piece(id, parent, request, params)

    @property
    def origin(self) -> int:
        """The position of its first token."""
        return len(self.request.prompt) - self._before

    @property
    def moment(self) -> Moment:
        """When the branch reached its current length, in sequential tokens."""
        return Moment(self.start + self.tokens, TraceWait(self.id, self.tokens - self._before))

    @property
    def most(self) -> int | None:
        """How many tokens it may reach at most; None if unknown."""
        known = [limit for limit in (self._limit, self._room) if limit is not None]
        return min(known, default=None)

    @property
    def left(self) -> int | None:
        """How many tokens of its limit are unused; None without a limit."""
        return None if self._limit is None else self._limit - self.tokens

    def cap(self, tokens: int) -> None:
        """Limit it to so many tokens, though it might want more."""
        if self.most is None or tokens < self.most:
            self._limit = tokens
            self.capped = True
            self._bound()

    def take(self, delta: Delta) -> None:
        """Add what the backend delivered, replacing what it delivered before if the answer begins ``anew``."""
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
        """The continuation so far; a snapshot late in a long trace costs no more than an early one."""
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


def _sum(a: Usage | None, b: Usage | None) -> Usage | None:
    """The sum of two usages: a request that was retried had its prompt served more than once."""
    if a is None or b is None:
        return a or b
    return Usage(a.prompt_cached + b.prompt_cached, a.prompt_computed + b.prompt_computed)
