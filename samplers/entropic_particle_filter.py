"""Particle filtering whose weights are levelled while the particles are in danger of becoming one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from widthwise.core.arrays import DoubleArray
from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.step_tree import Node
from widthwise.pruning.annealing import DiversityMeasure, temperature
from widthwise.pruning.resampling import ResamplingScheme, effective_size, softmax
from widthwise.samplers.lookahead import looked_ahead
from widthwise.samplers.particle_filter import ParticleFilter


@register("sampler")
@dataclass(frozen=True)
class EntropicParticleFilter(ParticleFilter):
    """A particle filter that keeps its particles different at first, when the reward model is too sure of itself.

    Giannone et al., "Mitigating Premature Exploitation in Particle-based Monte Carlo for Inference-Time Scaling" (arXiv
    2510.05825). Entropic annealing: while the effective number of particles is below the share ``collapsed`` of ``n``
    and less than the share ``early`` of ``max_depth`` steps are written, the softmax of the weights has a
    ``temperature`` above 1, by the effective number or the entropy (``annealing``). The defaults are those of the
    authors' code (its_hub), which resamples systematically.

    With ``lookahead`` 1, look-ahead modulation: a particle's weight is multiplied by that of its successor, a step
    drawn at temperature 0 and then thrown away, as in an auxiliary particle filter (Pitt and Shephard, 1999); one that
    has ended is its own successor. The steps are charged. The authors' code leaves this out, and so this follows the
    paper's description rather than its formula; the scores that are kept, and those that choose the answer, have
    neither temperature nor look-ahead.
    """

    _: KW_ONLY
    scheme: ResamplingScheme = "systematic"
    annealing: DiversityMeasure = "ess"
    collapsed: float = 0.5
    early: float = 0.5
    lookahead: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.annealing not in ("ess", "entropy"):
            raise ValueError(f"annealing must be 'ess' or 'entropy', not {self.annealing!r}")
        if not 0 <= self.collapsed <= 1 or not 0 <= self.early <= 1:
            raise ValueError("collapsed and early are shares from 0 to 1")
        if self.lookahead < 0:
            raise ValueError(f"lookahead is a number of steps, not {self.lookahead}")

    async def potentials(self, session: Session, nodes: Sequence[Node]) -> DoubleArray:
        own = await super().potentials(session, nodes)
        if not self.lookahead:
            return own
        scores, _ = await self.valued(session, await looked_ahead(session, nodes, self.lookahead))
        return own + self.linked(scores)

    def weights(self, potentials: DoubleArray, step: int) -> DoubleArray:
        plain, progress = softmax(potentials), step / self.max_depth
        if effective_size(plain) >= self.collapsed * len(plain) or progress >= self.early:
            return plain
        return softmax(potentials / temperature(plain, progress, self.annealing))
