"""Verification by the model itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from widthwise.aggregators.judging import candidates, verified
from widthwise.core.answer import Answer, TieBreak, elect
from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.model_part import ModelPart
from widthwise.core.trace.trace import Trace


@register("aggregator")
@dataclass(frozen=True)
class GenerativeVerification(ModelPart):
    """Ask ``k`` times whether a candidate is right, and weight the votes by it (GenRM: Zhang et al., arXiv 2408.15240).

    A candidate is a class of equivalent answers, shown by its first trace; its score is the mean probability of the
    verdict "right". With ``votes`` a class weighs its number of traces times the score (best-of-N weighted), without it
    the score alone (best-of-N). Replies without a verdict abstain; a candidate without any verdict scores 0.5. A single
    candidate is not verified. Judges' tokens are charged as such.
    """

    k: int = 4
    votes: bool = True
    tie: TieBreak = "first"

    questions: ClassVar[tuple[str, ...]] = ("verify",)

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k must be at least 1, not {self.k}")

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        classes = await candidates(session, traces)
        if len(classes) > 1:
            scores = await verified(session, classes, self.k, after=traces)
            weighed = zip(classes, scores, strict=True)
            classes = [replace(c, weight=score * (c.weight if self.votes else 1.0)) for c, (score, _) in weighed]
        return elect(classes, self.tie, session.seed("tie"))
