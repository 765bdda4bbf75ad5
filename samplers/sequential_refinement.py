"""Sequential refinement: each attempt is written with the earlier ones in view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.sampler_part import SamplerPart
from widthwise.core.strategy.worker import as_worker, delegate
from widthwise.core.trace.trace import Trace
from widthwise.samplers.workspace import Shown, readable, refining


@register("sampler")
@dataclass(frozen=True)
class SequentialRefinement(SamplerPart):
    """``chains`` independent chains of ``rounds`` attempts, each with the last ``memory`` of its chain in view.

    One chain is parallel-distill-refine with one draft per round (Madaan et al., arXiv 2510.01123: "sequential
    refinement"). Several chains with ``memory`` 4 and ``keep`` "all" are the revisions of Snell et al. (arXiv
    2408.03314), who divide a budget of attempts between chains and rounds; like them, vote over all attempts, because
    revising often spoils a right answer. ``keep`` "last" returns the end of each chain. ``workspace_tokens``,
    ``show_thinking``, ``worker`` and ``refiner`` are those of parallel-distill-refine.
    """

    rounds: int = 4
    chains: int = 1
    memory: int = 1
    keep: Literal["last", "all"] = "last"
    workspace_tokens: int | None = 4096
    show_thinking: bool = False
    worker: Any = None
    refiner: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.rounds, self.chains, self.memory) < 1:
            raise ValueError("rounds, chains and memory must be at least 1")
        if self.workspace_tokens is not None and self.workspace_tokens < self.memory:
            raise ValueError(f"workspace_tokens must be at least memory ({self.memory}), not {self.workspace_tokens}")
        if self.keep not in ("last", "all"):
            raise ValueError(f"keep must be 'last' or 'all', not {self.keep!r}")
        for worker in (self.worker, self.refiner):
            if worker is not None:
                as_worker(worker)

    @property
    def questions(self) -> tuple[str, ...]:
        """What the model is asked besides the problem."""
        return ("refine",) if self.rounds > 1 else ()

    async def __call__(self, session: Session) -> list[Trace]:
        chains: list[list[Trace]] = [[] for _ in range(self.chains)]
        for number in range(self.rounds):
            shown = [readable(session, chain, thinking=self.show_thinking)[-self.memory :] for chain in chains]
            roots = [
                refining(session, drafts, Shown(self.workspace_tokens, self.show_thinking), chain)
                for drafts, chain in zip(shown, chains, strict=True)
            ]
            worker = self.refiner or self.worker if number else self.worker
            for chain, attempt in zip(chains, await delegate(session, worker, roots), strict=True):
                chain += [attempt] if attempt is not None else []
        attempts = [attempt for chain in chains for attempt in chain]
        last = [chain[-1] for chain in chains if chain]
        return last if self.keep == "last" and any(session.answer(t) is not None for t in last) else attempts
