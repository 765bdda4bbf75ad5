"""Stop traces that run in a loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from widthwise.core.arrays import IntArray
from widthwise.core.pruner import Decision
from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.part import Part
from widthwise.core.trace.trace import Trace


@register("pruner")
@dataclass(frozen=True)
class Repetition(Part):
    """Stops a trace that ends in ``times`` repetitions of the same tokens, at least ``tokens`` of them in all.

    Loops of up to ``longest`` tokens are found. A model rarely leaves a loop by itself; ``tokens`` keeps rows of zeros
    or dashes from counting as loops. ``every`` is how many tokens lie between two checks.
    """

    times: int = 4
    tokens: int = 64
    longest: int = 256
    every: int = 32

    def __post_init__(self) -> None:
        if self.times < 2 or min(self.tokens, self.longest, self.every) < 1:
            raise ValueError("times must be at least 2, and tokens, longest and every at least 1")

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        periods = {t.id: self.period(t.segment.token_ids) for t in live}
        looping = {trace_id: p for trace_id, p in periods.items() if p is not None}
        shown = ", ".join(str(p) for p in sorted(set(looping.values())))
        return Decision(stop=frozenset(looping), reason=f"repeats itself every {shown} tokens")

    def period(self, ids: IntArray) -> int | None:
        """The length of the loop in which ``ids`` (``int64 [t]``) end; None if they do not end in one."""
        # In a loop of p tokens the last token equals the one p before, so only such p need a closer look.
        recent = ids[-self.longest - 1 :]
        for p in (len(recent) - 1 - np.flatnonzero(recent[:-1] == recent[-1]))[::-1] if len(recent) else ():
            span = max(self.times * int(p), self.tokens)
            if span <= len(ids) and np.array_equal(ids[len(ids) - span + p :], ids[len(ids) - span : -p]):
                return int(p)
        return None
