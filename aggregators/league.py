"""A league of candidates, compared with some of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from widthwise.aggregators.judging import candidates, check_comparisons, compared
from widthwise.core.session.session import Session
from widthwise.core.strategy.answer import Answer, Tie, elect
from widthwise.core.strategy.part import Part
from widthwise.core.trace.trace import Trace


@dataclass(frozen=True)
class League(Part):
    """Every candidate meets ``opponents`` others, drawn at random; the best mean score wins (arXiv 2411.19477).

    A candidate is a class of equivalent answers, shown by its first trace. A meeting is compared ``k`` times, half of
    them in either order, and scores 1 for the one that more comparisons prefer, 0.5 for both where it is drawn. All
    comparisons are asked for at once: one round, where a knockout needs several.
    """

    opponents: int = 4
    k: int = 2
    tie: Tie = "first"

    def __post_init__(self) -> None:
        check_comparisons(self.k)
        if self.opponents < 1:
            raise ValueError(f"opponents must be at least 1, not {self.opponents}")

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        field = await candidates(session, traces)
        if len(field) < 2:
            return elect(field)
        offsets = np.random.default_rng(session.seed("opponents")).integers(1, len(field), (len(field), self.opponents))
        pairs = [(i, (i + o) % len(field)) for i, row in enumerate(offsets.tolist()) for o in row]
        matches = await compared(session, [(field[i], field[j]) for i, j in pairs], self.k, traces)
        scores = [0.5 + 0.5 * float(np.sign(m.wins[0] - m.wins[1])) for m in matches]
        means = np.reshape(scores, (len(field), self.opponents)).mean(axis=1).tolist()
        return elect([replace(c, weight=m) for c, m in zip(field, means, strict=True)], self.tie, session.seed("tie"))
