"""Sampling-based search: verify every candidate, and compare those with close scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from widthwise.aggregators.contest import Contest, Contestants, check_contest
from widthwise.aggregators.judging import verified
from widthwise.core.answer import Answer, TieBreak, elect
from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.model_part import ModelPart
from widthwise.core.strategy.verification import note_silence
from widthwise.core.trace.trace import Trace


@register("aggregator")
@dataclass(frozen=True)
class SelfVerification(ModelPart):
    """The candidate with the best verifications; comparisons decide near ties (Zhao et al., arXiv 2502.01839).

    Each trace that states an answer is verified ``k`` times; those within ``band`` of the best mean are close. Each
    pair of close ones with different answers is compared ``comparisons`` times, and the one that wins most pairs wins;
    then the higher mean, and finally ``tie`` decides ("first": the answer with more votes). The paper's own figures:
    k=50, comparisons=100. That is ``k N`` verifications of ``N`` traces, and at most ``comparisons closest (closest -
    1) / 2`` comparisons.

    Differences from the paper: only the best ``closest`` of the band are compared (the paper's text speaks of three,
    its pseudo-code of all: a large ``closest``); the paper has the solution rewritten as lemmas before it is judged,
    whereas this asks the model's own question "verify"; traces that all agree are not verified. With
    ``entry="answers"`` every answer is verified once, by its first trace: ``k A`` verifications of ``A`` answers, in
    which a wrong verdict may lose the most frequent one.
    """

    k: int = 8
    comparisons: int = 8
    band: float = 0.05
    closest: int = 3
    entry: Contestants = "traces"
    tie: TieBreak = "first"

    questions: ClassVar[tuple[str, ...]] = ("verify", "compare")

    def __post_init__(self) -> None:
        check_contest(self.entry, self.comparisons, "comparisons")
        if self.k < 1 or self.band < 0 or self.closest < 1:
            raise ValueError("k and closest must be at least 1, and band at least 0")

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        contest = await Contest.of(session, traces, self.entry, skip_equal=True)
        if len(contest.classes) < 2:
            return elect(contest.classes)
        scored = await verified(session, contest.candidates, self.k, after=traces)
        scores = [round(score, 9) for score, _ in scored]  # means of the same verdicts in another order are equal
        votes = [contest.classes[answer].weight for answer in contest.answers]
        ranked = sorted(range(len(scores)), key=lambda i: (-scores[i], -votes[i]))
        close = [i for i in ranked[: self.closest] if scores[i] >= scores[ranked[0]] - self.band]
        won = await self._won(contest, close, [*traces, *(reply for _, said in scored for reply in said)])
        # A pair won outweighs every score, which is a probability.
        weighed = [replace(contest.candidates[i], weight=scores[i] + 2 * won[i]) for i in ranked]
        return elect(weighed, self.tie, session.seed("tie"))

    async def _won(self, contest: Contest, close: Sequence[int], after: Sequence[Trace]) -> Counter[int]:
        """How many pairs each of the ``close`` has won; neither wins a drawn pair."""
        pairs = [(i, j) for place, i in enumerate(close) for j in close[place + 1 :]]
        unequal = [(i, j) for i, j in pairs if contest.answers[i] != contest.answers[j]]
        matches = await contest.matches(unequal, self.comparisons, after)
        replied = [reply for match in matches for reply in match.replies]
        note_silence(contest.session, sum(sum(m.wins) for m in matches), len(replied), replied)
        decided = [(pair, match.wins) for pair, match in zip(unequal, matches, strict=True) if len(set(match.wins)) > 1]
        return Counter(i if first > second else j for (i, j), (first, second) in decided)
