"""GenSynthesis: a model is shown a window of candidates at once and writes a new solution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from widthwise.aggregators.judging import candidates, replies
from widthwise.aggregators.window import Windows, check_draws
from widthwise.core.answer import Answer, TieBreak, elect
from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.model_part import ModelPart
from widthwise.core.strategy.verification import cut_off
from widthwise.core.trace.trace import Trace


@register("aggregator")
@dataclass(frozen=True)
class GenSynthesis(ModelPart):
    """The model writes new solutions from windows of candidates, and these vote (NeMo-Skills' GenSynthesis).

    Released beside GenSelect (Moshkov et al., arXiv 2504.16891) and used like it: each of ``draws`` questions shows a
    random ``window`` of the traces that state an answer, each by what follows its thinking (``shown_tokens``: by the
    end of that). The answer may be one that no candidate states, so the model is asked even where all agree. New
    solutions are charged as judges' replies and may be as long (``--judge-tokens``).

    Differences from the release: the question is worded by the model's prompt format ("synthesise"), and the candidates
    are shown in a random order each time. A new solution without an answer has no vote, where the release takes a
    random candidate; it is noted, and if none has an answer, the candidates' plain vote decides.
    """

    window: int = 8
    draws: int = 8
    shown_tokens: int | None = None
    tie: TieBreak = "first"

    questions: ClassVar[tuple[str, ...]] = ("synthesise",)

    def __post_init__(self) -> None:
        check_draws(self.draws)
        Windows(self.window, self.shown_tokens)

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        shown = [t for t in traces if session.answer(t) is not None]
        written = await self._written(session, shown, traces) if shown else []
        classes = await session.classes(written)
        silent = len(written) - sum(len(c.traces) for c in classes)
        if silent:
            said = f"{silent} of {len(written)} new solutions state no answer"
            session.note(session.root, said + cut_off(session, written))
        if shown and not classes:
            session.note(session.root, "no new solution states an answer: the plain vote decided")
        return elect(classes or await candidates(session, traces), self.tie, session.seed("tie"))

    async def _written(self, session: Session, shown: Sequence[Trace], after: Sequence[Trace]) -> list[Trace]:
        """The new solutions."""
        windows = Windows(self.window, self.shown_tokens)
        drawn = windows.drawn(len(shown), self.draws, np.random.default_rng(session.seed("windows")))
        asked = [windows.ask(session, "synthesise", [shown[i] for i in window], after) for window in drawn]
        return [reply for answered in await replies(session, asked) for reply in answered]
