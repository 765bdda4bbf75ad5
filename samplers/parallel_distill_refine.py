"""Parallel-distill-refine: rounds of drafts, each written with a digest of the previous round in view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from widthwise.core.registry import register
from widthwise.core.scores.trace_score import check_score
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.session import Session
from widthwise.core.strategy.sampler_part import SamplerPart
from widthwise.core.strategy.worker import as_worker, delegate
from widthwise.core.trace.trace import Trace
from widthwise.samplers.distilling import Distilling, DistillOperator
from widthwise.samplers.preference import SELF, VERIFY
from widthwise.samplers.workspace import Shown, readable


@register("sampler")
@dataclass(frozen=True)
class ParallelDistillRefine(SamplerPart):
    """Drafts in parallel, distilled into a small workspace, from which the next round is drafted anew.

    Madaan et al., "Rethinking Thinking Tokens" (arXiv 2510.01123). ``drafts`` are the widths of the rounds, including
    the last: (8, 4, 1) ends in one trace as in the paper, (8, 8) in eight for a vote. A single number is the width of
    each of ``rounds`` rounds (2). The last round's traces are returned; if none of them states an answer, all traces
    are. Nothing but the workspace is carried over.

    ``distill`` makes the workspace from a round's drafts: with "summary" one call writes shared notes; "top_k" shows
    the ``k`` best drafts to all; "per_sample" lets each next draft choose its ``k`` with a call of its own; "random_k"
    draws ``k`` for each, without a call. ``by`` says which are best: "verify" (verdicts), "self" (the model names
    them), or a score such as "mean_logprob" or "reward_model" (not for "per_sample"). A draft contributes its visible
    solution, trimmed at the front to its share of ``workspace_tokens`` (None: all of it); with ``show_thinking``, its
    thinking too.

    ``free`` drafts of each later round see the bare problem, as a control against copying a wrong consensus (at least
    one draft always refines). ``worker`` writes the drafts: any sampler or strategy; None samples. ``refiner`` replaces
    it from the second round on, for models that cannot combine the worker's skill with refining.
    """

    drafts: int | tuple[int, ...] = (8, 4, 1)
    rounds: int | None = None
    distill: DistillOperator = "summary"
    k: int = 4
    by: str = "verify"
    workspace_tokens: int | None = 4096
    show_thinking: bool = False
    free: int = 0
    worker: Any = None
    refiner: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rounds is not None and not isinstance(self.drafts, int):
            raise ValueError("rounds needs a single number of drafts; a list of drafts has one number per round")
        if not self.widths or min(self.widths) < 1:
            raise ValueError(
                f"there must be at least one round, with at least one draft each, not drafts={self.drafts!r} in "
                f"{self.rounds}"
            )
        if self.free < 0:
            raise ValueError(f"free must be at least 0, not {self.free}")
        self._distilling  # noqa: B018  (checks its arguments)
        for worker in (self.worker, self.refiner):
            if worker is not None:
                as_worker(worker)

    @property
    def questions(self) -> tuple[str, ...]:
        """What the model is asked besides the problem."""
        if len(self.widths) < 2:
            return ()
        if self.distill == "summary":
            return ("summarise", "refine_summary")
        asked = {SELF: ("select",), VERIFY: ("verify",)} if self.distill in ("top_k", "per_sample") else {}
        return ("refine", *asked.get(self.by, ()))

    def check(self, conditions: Conditions) -> None:
        """Raises ``UsageError`` if drafts cannot have the score by which they are chosen."""
        if len(self.widths) > 1 and self.distill == "top_k" and self.by not in (SELF, VERIFY):
            check_score(self.by, conditions, self.brief())

    @property
    def widths(self) -> tuple[int, ...]:
        """The number of drafts in each round."""
        if isinstance(self.drafts, int):
            return (self.drafts,) * (2 if self.rounds is None else self.rounds)
        return tuple(self.drafts)

    async def __call__(self, session: Session) -> list[Trace]:
        first, *later = self.widths
        drafts = await delegate(session, self.worker, [session.root] * first)
        for number, width in enumerate(later, 1):
            roots = await self._roots(session, drafts, width, number)
            drafts = await delegate(session, self.refiner or self.worker, roots)
        last = [draft for draft in drafts if draft is not None]
        return last if any(session.answer(draft) is not None for draft in last) else session.leaves

    async def _roots(self, session: Session, drafts: Sequence[Trace | None], width: int, number: int) -> list[Trace]:
        """The traces that the drafts of the next round continue."""
        seen = readable(session, drafts, thinking=self.show_thinking)
        free = min(self.free, width - 1) if seen else width
        guided = await self._distilling(session, seen, width - free, number) if seen else []
        return guided + [session.root] * free

    @property
    def _distilling(self) -> Distilling:
        return Distilling(self.distill, self.k, self.by, Shown(self.workspace_tokens, self.show_thinking))
