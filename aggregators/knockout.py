"""A tournament of candidates, compared in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from widthwise.aggregators.judging import Match, candidates, check_comparisons, compared
from widthwise.core.session.session import Session
from widthwise.core.strategy.answer import Answer, AnswerClass, Tie, elect
from widthwise.core.strategy.part import Part
from widthwise.core.trace.trace import Trace


@dataclass(frozen=True)
class Knockout(Part):
    """Pair the candidates at random, compare each pair ``k`` times, go on with the winners (arXiv 2411.19477).

    A candidate is a class of equivalent answers, shown by its first trace; half of a pair's comparisons show it in
    either order. A match without a winner goes to the answer with more votes, and among equal ones as ``tie`` says;
    an odd candidate passes a round without a match. The rounds that a candidate has passed are its weight.
    """

    k: int = 2
    tie: Tie = "random"

    def __post_init__(self) -> None:
        check_comparisons(self.k)

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        field = await candidates(session, traces)
        passed, lucky, after = [0] * len(field), [False] * len(field), list(traces)
        alive = list(range(len(field)))
        while len(alive) > 1:
            rounds = max(passed) + 1
            alive = np.random.default_rng(session.seed("bracket", rounds)).permutation(alive).tolist()
            pairs = list(zip(alive[::2], alive[1::2], strict=False))
            matches = await compared(session, [(field[i], field[j]) for i, j in pairs], self.k, after)
            after += [reply for match in matches for reply in match.replies]
            alive = alive[2 * len(pairs) :]
            for (i, j), match in zip(pairs, matches, strict=True):
                winner, drawn = self._winner(field[i], field[j], match, session.seed("match", rounds, i))
                alive.append((i, j)[winner])
                lucky[alive[-1]] |= drawn
            for i in alive:
                passed[i] = rounds
        ranked = [replace(c, weight=float(rounds)) for c, rounds in zip(field, passed, strict=True)]
        return replace(elect(ranked), tied=any(lucky[i] for i in alive))

    def _winner(self, a: AnswerClass, b: AnswerClass, match: Match, seed: int) -> tuple[int, bool]:
        """Which of the two (0 or 1) goes on, and whether it is no better than the other."""
        if match.wins[0] != match.wins[1]:
            return int(match.wins[0] < match.wins[1]), False
        by_votes = elect((a, b), self.tie, seed)
        return int(by_votes.trace is b.traces[0]), by_votes.tied
