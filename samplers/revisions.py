"""Revisions: a fixed number of attempts, divided between parallel chains and revisions within each chain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.sampler_part import SamplerPart
from widthwise.core.trace.trace import Trace
from widthwise.samplers.sequential_refinement import SequentialRefinement

_MOST = 1_000_000
"""Attempts at most: all ways to divide them are looked at."""
_NEAR = 0.01
"""How far a ratio may be from one that n can be divided in: 0.3333 means a third."""


@register("sampler")
@dataclass(frozen=True)
class Revisions(SamplerPart):
    """``n`` attempts in chains of revisions; ``ratio`` is a chain's length over the number of chains.

    Snell et al. (arXiv 2408.03314, section 6): each attempt of a chain is written with the last ``memory`` attempts of
    that chain in view. With n = 16, ratio 16 is one chain of 16 (sequential), 1 is four chains of four, and 0.0625 are
    16 chains of one attempt, which is best-of-16 (parallel). Which ratio is best depends on the problem, so it is worth
    a sweep. All attempts are returned: ``hierarchical_vote`` chooses in two levels, by chain and then across chains, as
    the paper does with a verifier; ``majority_vote`` votes over all of them, as the paper does without. Its model was
    trained to revise; others are prompted to (the question "refine"). ``workspace_tokens``, ``show_thinking``,
    ``worker`` and ``refiner`` are those of parallel-distill-refine.
    """

    n: int = 16
    ratio: float = 1.0
    memory: int = 4
    workspace_tokens: int | None = 4096
    show_thinking: bool = False
    worker: Any = None
    refiner: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.n <= _MOST or self.memory < 1:
            raise ValueError(f"n must be from 1 to {_MOST}, and memory at least 1")
        if not 0 < self.ratio < math.inf or abs(self._ratio_of(self.length) / self.ratio - 1) > _NEAR:
            ratios = ", ".join(f"{self._ratio_of(length):.4g}" for length in _divisors(self.n))
            raise ValueError(f"{self.n} attempts divide into equal chains with a ratio of {ratios}, not {self.ratio}")
        self._chained  # noqa: B018  (checks the other arguments)

    @property
    def length(self) -> int:
        """How many attempts a chain has."""
        return min(_divisors(self.n), key=lambda length: abs(math.log(self._ratio_of(length) / self.ratio)))

    @property
    def chains(self) -> int:
        """How many chains there are."""
        return self.n // self.length

    @property
    def questions(self) -> tuple[str, ...]:
        """What the model is asked besides the problem."""
        return self._chained.questions

    async def __call__(self, session: Session) -> list[Trace]:
        return await self._chained(session)

    @property
    def _chained(self) -> SequentialRefinement:
        same = ("memory", "workspace_tokens", "show_thinking", "worker", "refiner", "thinking", "waits")
        own = {name: getattr(self, name) for name in same}
        return SequentialRefinement(self.length, self.chains, keep="all", **own)

    def _ratio_of(self, length: int) -> float:
        return length * length / self.n


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]
