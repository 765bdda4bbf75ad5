"""Recursive self-aggregation: a population of solutions, improved by combining random groups of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.sampler_part import SamplerPart
from widthwise.core.trace.trace import Trace
from widthwise.samplers.parallel_distill_refine import ParallelDistillRefine


@register("sampler")
@dataclass(frozen=True)
class RecursiveSelfAggregation(SamplerPart):
    """``population`` solutions; in each of ``loops`` loops every new member is written from a random ``group``.

    Venkatraman et al., "Recursive Self-Aggregation" (arXiv 2509.26626): population 16, group 4, and ten steps, of which
    the first population is one and the ``loops`` are the others. Members are shown whole, including their thinking. The
    last population is returned, for a vote or a choice among its members. It is parallel-distill-refine with equal
    rounds and random groups as workspaces, and its other arguments mean the same: ``workspace_tokens`` trims the
    members to what a small context holds, ``show_thinking=False`` shows only what follows their thinking.

    Differences from the release: the question is worded by the model's prompt format ("refine"), and members that
    failed, were stopped or say nothing are not shown.
    """

    population: int = 16
    group: int = 4
    loops: int = 9
    workspace_tokens: int | None = None
    show_thinking: bool = True
    worker: Any = None
    refiner: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.population < 1 or self.loops < 0 or not 1 <= self.group <= self.population:
            raise ValueError("population must be at least 1, loops at least 0, group from 1 to population")
        self._rounds()

    @property
    def questions(self) -> tuple[str, ...]:
        """What the model is asked besides the problem."""
        return self._rounds().questions

    async def __call__(self, session: Session) -> list[Trace]:
        return await self._rounds()(session)

    def _rounds(self) -> ParallelDistillRefine:
        return ParallelDistillRefine(
            drafts=self.population,
            rounds=self.loops + 1,
            distill="random_k",
            k=self.group,
            workspace_tokens=self.workspace_tokens,
            show_thinking=self.show_thinking,
            worker=self.worker,
            refiner=self.refiner,
        )
