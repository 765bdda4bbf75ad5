"""Outline-guided exploration: different plans first, then one solution for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from widthwise.core.prompting.reply import outlines
from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.sampler_part import SamplerPart
from widthwise.core.strategy.verification import cut_off
from widthwise.core.strategy.worker import as_worker, delegate
from widthwise.core.trace.trace import Trace


@register("sampler")
@dataclass(frozen=True)
class Outlined(SamplerPart):
    """``n`` solutions, each following its own outline; the outlines are written in one pass so that they differ.

    Guo et al., "OPE: Outline-Guided Path Exploration" (arXiv 2602.08344). ``free`` of the solutions are plain samples,
    as a control. If the model gives too few different outlines, the remaining solutions are plain samples too: there
    are always ``n``. ``worker`` writes the solutions: any sampler or strategy; None samples.
    """

    n: int = 8
    free: int = 0
    worker: Any = None

    questions: ClassVar[tuple[str, ...]] = ("outlines", "outline")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.free < self.n:
            raise ValueError(f"n must be at least 1 and free below n, not n={self.n}, free={self.free}")
        if self.worker is not None:
            as_worker(self.worker)

    async def __call__(self, session: Session) -> list[Trace]:
        wanted = self.n - self.free
        question = session.ask("outlines", count=str(wanted))
        replies = await session.sample(question, judging=True)
        proposed = [outline for reply in replies for outline in outlines(session.solution(reply), wanted)]
        if len(proposed) < wanted:
            session.note(
                session.root, f"the model gave {len(proposed)} of {wanted} outlines{cut_off(session, replies)}"
            )
        roots = [session.ask("outline", outline=outline, after=replies) for outline in proposed]
        roots += [session.root] * (self.n - len(roots))
        return [trace for trace in await delegate(session, self.worker, roots) if trace is not None]
