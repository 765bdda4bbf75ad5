"""A league of candidates, each compared with some of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from widthwise.aggregators.contest import Contest, Contestants, check_contest
from widthwise.core.answer import Answer, TieBreak, elect
from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.model_part import ModelPart
from widthwise.core.trace.trace import Trace


@register("aggregator")
@dataclass(frozen=True)
class League(ModelPart):
    """Every candidate meets ``opponents`` others, drawn at random; the best mean score wins (arXiv 2411.19477).

    Chen et al. All traces that state an answer are candidates, the opponents are drawn with replacement, and a meeting
    is compared ``k`` times: its candidate scores 1 if more comparisons prefer it, and 0.5 for a draw. ``tie`` breaks
    equal means, by lot in the paper. ``k opponents N`` comparisons of ``N`` candidates, all asked for at once: one
    round, where a knockout needs several.

    Differences from the paper: traces without an answer do not take part, traces that all agree are not compared, and
    if no comparison names a winner, the plain vote decides. A meeting's single comparison shows the candidate first;
    from ``k`` 2 on half of them show either order. With ``skip_equal`` opponents are drawn among the traces with a
    different answer: the number of comparisons is the same, but none is pointless. With ``entry="answers"`` every
    answer enters once: ``k opponents A`` comparisons of ``A`` answers, and an answer's frequency no longer helps it.
    """

    opponents: int = 4
    k: int = 1
    entry: Contestants = "traces"
    skip_equal: bool = False
    tie: TieBreak = "random"

    questions: ClassVar[tuple[str, ...]] = ("compare",)

    def __post_init__(self) -> None:
        check_contest(self.entry, self.k, "k")
        if self.opponents < 1:
            raise ValueError(f"opponents must be at least 1, not {self.opponents}")

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        contest = await Contest.of(session, traces, self.entry, skip_equal=self.skip_equal)
        if len(contest.classes) < 2:
            return elect(contest.classes)
        pairs = self._meetings(contest, np.random.default_rng(session.seed("opponents")))
        matches = await contest.matches(pairs, self.k, traces)
        scores = [0.5 + 0.5 * float(np.sign(m.wins[0] - m.wins[1])) for m in matches]
        means = np.reshape(scores, (len(contest.candidates), self.opponents)).mean(axis=1).tolist()
        return contest.settle(means, matches, self.tie)

    def _meetings(self, contest: Contest, rng: np.random.Generator) -> list[tuple[int, int]]:
        """Each candidate with every opponent drawn for it."""
        answers = np.array(contest.answers)
        pairs = []
        for i, answer in enumerate(contest.answers):
            others = answers != answer if self.skip_equal else np.arange(len(answers)) != i
            pairs += [(i, j) for j in rng.choice(np.flatnonzero(others), self.opponents).tolist()]
        return pairs
