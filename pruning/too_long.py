"""Stop traces that are much longer than the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from widthwise.core.pruner import GO_ON, Decision
from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.part import Part
from widthwise.core.trace.trace import Trace


@register("pruner")
@dataclass(frozen=True)
class TooLong(Part):
    """Stops a trace of more than ``factor`` times the median length of those that came to their own end.

    At least ``least`` traces must have ended by themselves. ``tokens`` is an additional limit from the beginning on;
    None for none. Within one problem, long traces are seldom right. ``every`` is how many tokens lie between two
    checks.
    """

    factor: float = 3.0
    least: int = 4
    tokens: int | None = None
    every: int = 16

    def __post_init__(self) -> None:
        if self.factor <= 0 or min(self.least, self.every, self.tokens or 1) < 1:
            raise ValueError("factor must be above 0, and least, tokens and every at least 1")

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        lengths = [t.tokens for t in finished if t.finish == "stop"]
        limits = [] if self.tokens is None else [self.tokens]
        if len(lengths) >= self.least:
            limits.append(int(self.factor * float(np.median(lengths))))
        if not limits:
            return GO_ON
        stop = frozenset(t.id for t in live if t.tokens >= min(limits))
        return Decision(stop=stop, reason=f"longer than {min(limits)} tokens")
