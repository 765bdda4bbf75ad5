"""The model names the response that agrees best with the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from widthwise.aggregators.judging import candidates, replies
from widthwise.core.answer import Answer, TieBreak, elect
from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.model_part import ModelPart
from widthwise.core.strategy.verification import note_silence
from widthwise.core.trace.trace import Trace


@register("aggregator")
@dataclass(frozen=True)
class UniversalSelfConsistency(ModelPart):
    """Show the model the responses and let it choose the most consistent one (USC: Chen et al., arXiv 2311.17311).

    The first ``responses`` traces that state an answer are shown. The question is asked ``k`` times, greedily; from the
    second time on in a different order each, so that a preference for a position does not decide. The answer chosen
    most often wins, and among equals the one with more votes; if no reply names a response, that is the majority vote.
    Responses that all agree are not asked about.
    """

    k: int = 1
    responses: int = 8
    tie: TieBreak = "first"

    questions: ClassVar[tuple[str, ...]] = ("consistency",)

    def __post_init__(self) -> None:
        if self.k < 1 or self.responses < 2:
            raise ValueError(f"k must be at least 1 and responses at least 2, not {self.k} and {self.responses}")

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        classes = await candidates(session, traces)
        if len(classes) < 2:
            return elect(classes)
        shown = [t for t in traces if session.answer(t) is not None][: self.responses]
        chosen = await self._chosen(session, shown, traces)
        if not chosen:
            return elect(classes, self.tie, session.seed("tie"))
        picked = [replace(c, weight=float(sum(t in c.traces for t in chosen))) for c in classes]
        return elect(picked, self.tie, session.seed("tie"))

    async def _chosen(self, session: Session, shown: Sequence[Trace], after: Sequence[Trace]) -> list[Trace]:
        """The traces that the replies name."""
        rng = np.random.default_rng(session.seed("order"))
        orders = [list(range(len(shown))), *(rng.permutation(len(shown)).tolist() for _ in range(self.k - 1))]
        asked = [self._asked(session, [shown[i] for i in order], after) for order in orders]
        chosen: list[Trace] = []
        replied: list[Trace] = []
        for order, answered in zip(orders, await replies(session, asked, 1, temperature=0.0), strict=True):
            for reply in answered:
                choice = session.choice(reply, len(shown))
                session.annotate(reply, choice=choice)
                replied.append(reply)
                chosen += [] if choice is None else [shown[order[choice - 1]]]
        note_silence(session, len(chosen), len(replied), replied)
        return chosen

    def _asked(self, session: Session, responses: Sequence[Trace], after: Sequence[Trace]) -> Trace:
        drafts = session.listed("draft", [session.solution(t) for t in responses])
        return session.ask("consistency", count=str(len(responses)), drafts=drafts, after=after)
