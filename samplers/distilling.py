"""Distilling: from a round of drafts to the workspaces for writing the next round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from widthwise.core.session.session import Session
from widthwise.core.strategy.verification import cut_off
from widthwise.core.trace.trace import Trace
from widthwise.samplers.preference import SELF, VERIFY, best, opinions
from widthwise.samplers.workspace import Shown, readable, refining

DistillOperator = Literal["summary", "top_k", "per_sample", "random_k"]

_WORDS_PER_TOKEN = 0.75


@dataclass(frozen=True, slots=True)
class Distilling:
    """The operators of Madaan et al. (arXiv 2510.01123); parallel-distill-refine explains the arguments."""

    operator: DistillOperator
    k: int
    by: str
    shown: Shown

    def __post_init__(self) -> None:
        if self.operator not in get_args(DistillOperator):
            raise ValueError(f"distill must be one of {', '.join(get_args(DistillOperator))}, not {self.operator!r}")
        if self.operator == "per_sample" and self.by not in (SELF, VERIFY):
            raise ValueError(f"distill='per_sample' asks the model anew for each draft, which by={self.by!r} cannot do")
        if self.k < 1 or (self.shown.tokens is not None and self.shown.tokens < self.k):
            raise ValueError("k must be at least 1 and workspace_tokens at least k")
        if self.operator == "summary" and self.shown.tokens is None:
            raise ValueError("distill='summary' needs a limit: workspace_tokens says how long the notes may be")

    async def __call__(self, session: Session, drafts: Sequence[Trace], width: int, number: int) -> list[Trace]:
        """The prompts of the ``width`` drafts of round ``number``; equal workspaces share one prompt."""
        if self.operator == "summary":
            return [await self._noted(session, drafts)] * width
        choices, judges = await self._choices(session, drafts, width, number)
        roots = {
            choice: refining(session, [drafts[i] for i in choice], self.shown, [*drafts, *judges])
            for choice in dict.fromkeys(choices)
        }
        return [roots[choice] for choice in choices]

    async def _noted(self, session: Session, drafts: Sequence[Trace]) -> Trace:
        """The problem with notes that one call made of the drafts; without notes if that call produced none."""
        listed = session.listed("draft", self.shown.texts(session, drafts))
        limit = str(max(1, int((self.shown.tokens or 0) * _WORDS_PER_TOKEN)))
        question = session.ask("summarise", drafts=listed, limit=limit, after=drafts)
        replies = await session.sample(question, judging=True)
        notes = readable(session, replies)
        if not notes:
            session.note(session.root, f"the drafts' notes were not written{cut_off(session, replies)}")
            return session.root
        [summary] = Shown(self.shown.tokens).texts(session, notes)
        return session.ask("refine_summary", summary=summary.strip(), after=notes)

    async def _choices(
        self, session: Session, drafts: Sequence[Trace], width: int, number: int
    ) -> tuple[list[tuple[int, ...]], list[Trace]]:
        """The indices of the drafts that each of the next drafts will see, and the judges that were asked."""
        if len(drafts) <= self.k:
            return [tuple(range(len(drafts)))] * width, []
        if self.operator == "random_k":
            chance = np.random.default_rng(session.seed("random_k", number))
            drawn = [chance.choice(len(drafts), self.k, replace=False).tolist() for _ in range(width)]
            return [tuple(sorted(choice)) for choice in drawn], []
        told = self.shown.texts(session, drafts, self.k)
        times = width if self.operator == "per_sample" else 1
        scores, judges = await opinions(session, drafts, told, self.by, self.k, times)
        seeds = [session.seed("best", number, time) for time in range(times)]
        chosen = [best(one, self.k, seed) for one, seed in zip(scores, seeds, strict=True)]
        return chosen * (width // times), judges
