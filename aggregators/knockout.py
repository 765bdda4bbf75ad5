"""A tournament of candidates, compared in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from widthwise.aggregators.contest import Contest, Contestants, Match, check_contest
from widthwise.core.answer import Answer, TieBreak, elect
from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.model_part import ModelPart
from widthwise.core.trace.trace import Trace


@register("aggregator")
@dataclass(frozen=True)
class Knockout(ModelPart):
    """Pair the candidates at random, compare each pair ``k`` times, go on with the winners (arXiv 2411.19477).

    Chen et al. All traces that state an answer are candidates. A match goes to the candidate that more comparisons
    prefer; ``tie`` breaks draws, by lot in the paper. ``k (N - 1)`` comparisons of ``N`` candidates, in ``log2 N``
    rounds. A candidate's weight is the number of rounds it has passed.

    Differences from the paper: traces without an answer do not take part; half of a pair's comparisons show it in
    either order; an odd candidate passes a round without a match; traces that all agree are not compared; and if no
    comparison names a winner, the plain vote decides. Two variants are cheaper. With ``skip_equal`` a pair that states
    the same answer is not compared, and the first goes on: the answer is as likely to win, for ``k`` comparisons fewer
    per such pair. With ``entry="answers"`` every answer enters once: ``k (A - 1)`` comparisons of ``A`` answers; a
    drawn match then goes to the answer with more votes, but otherwise an answer's frequency no longer helps it.
    """

    k: int = 2
    entry: Contestants = "traces"
    skip_equal: bool = False
    tie: TieBreak = "random"

    questions: ClassVar[tuple[str, ...]] = ("compare",)

    def __post_init__(self) -> None:
        check_contest(self.entry, self.k, "k")

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        contest = await Contest.of(session, traces, self.entry, skip_equal=self.skip_equal)
        if len(contest.classes) < 2:
            return elect(contest.classes)
        passed, lucky = [0] * len(contest.candidates), [False] * len(contest.candidates)
        played: list[Match] = []
        alive = list(range(len(contest.candidates)))
        while len(alive) > 1:
            number = max(passed) + 1
            alive = np.random.default_rng(session.seed("bracket", number)).permutation(alive).tolist()
            pairs = list(zip(alive[::2], alive[1::2], strict=False))
            after = [*traces, *(reply for match in played for reply in match.replies)]
            matches = await contest.matches(pairs, self.k, after)
            played += matches
            alive = alive[2 * len(pairs) :]
            for (i, j), match in zip(pairs, matches, strict=True):
                winner, drawn = self._winner(contest, (i, j), match, session.seed("match", number, i))
                lucky[winner] |= drawn
                alive.append(winner)
            for i in alive:
                passed[i] = number
        answer = contest.settle([float(rounds) for rounds in passed], played, self.tie)
        return replace(answer, tied=answer.tied or any(lucky[i] for i in alive))

    def _winner(self, contest: Contest, pair: tuple[int, int], match: Match, seed: int) -> tuple[int, bool]:
        """Which candidate of the pair goes on, and whether a lot decided between two answers."""
        (i, j), (won, lost) = pair, match.wins
        if won != lost:
            return (i if won > lost else j), False
        if contest.answers[i] == contest.answers[j] and not match.replies:
            return i, False
        a, b = contest.candidates[i], contest.candidates[j]
        chosen = elect((a, b), self.tie, seed)
        return (i if chosen.trace is a.traces[0] else j), chosen.tied and contest.answers[i] != contest.answers[j]
