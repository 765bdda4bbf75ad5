"""Particle filtering over steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np

from widthwise.core.arrays import DoubleArray
from widthwise.core.registry import register
from widthwise.core.scores.trace_score import check_score, unit_score
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.session import Session
from widthwise.core.strategy.step_tree import Node, StepTree
from widthwise.core.trace.trace import Trace
from widthwise.pruning.resampling import SCHEMES, ResamplingScheme, ScoreLink, effective_size, linked, softmax
from widthwise.samplers.tree_search import TreeSampler, leave


@register("sampler")
@dataclass(frozen=True)
class ParticleFilter(TreeSampler):
    """``n`` particles draw a step each, and are resampled in proportion to the reward model's scores of their prefixes.

    Puri et al., "A Probabilistic Inference Approach to Inference-Time Scaling of LLMs using Particle-Based Monte Carlo
    Methods" (arXiv 2502.01618). The weights are the softmax of ``link`` of the scores, over all particles; those that
    have ended keep theirs, and are resampled with the others. ``scheme`` is the resampling scheme ("multinomial" in the
    paper, at every step); with ``threshold`` they are resampled only when the effective number of particles, ``1 /
    sum(w^2)``, is below that share of ``n``. The paper's pseudo-code puts the scores themselves into the softmax, its
    released code their logits: ``link`` "identity" and "logit".

    The paper answers with the particle of highest weight (``best_by(score='score')``); a vote over particles is
    ``weighted_vote(by='particles', weight='identity')``, since equal particles are one trace with a count. A particle
    that could not be scored has the weight of score 0.

    Difference from the released code: a trace that the model ends is finished, whatever its text.
    """

    _: KW_ONLY
    link: ScoreLink = "logit"
    scheme: ResamplingScheme = "multinomial"
    threshold: float = 1.0

    facts: ClassVar[tuple[str, ...]] = ("score", "round", "particles")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scheme not in SCHEMES:
            raise ValueError(f"scheme must be one of {', '.join(SCHEMES)}, not {self.scheme!r}")
        if self.link not in ("logit", "identity", "log"):
            raise ValueError(f"link must be 'logit', 'identity' or 'log', not {self.link!r}")
        if not 0 <= self.threshold <= 1 or self.refill:
            raise ValueError("threshold is a share from 0 to 1, and refill has no meaning here")

    def check(self, conditions: Conditions) -> None:
        check_score(self.by, conditions, self.brief())

    async def search(self, session: Session, trees: Sequence[StepTree]) -> list[Trace]:
        """The particles that are left when all have ended, each with its count."""
        ends = await super().search(session, trees)
        return [trace for trace in ends if trace.finish != "pruned"]

    async def select_next(self, session: Session, tree: StepTree, born: Sequence[Node]) -> None:
        # Each child is a particle; those that ended in earlier rounds keep their counts.
        counts = {node: int(node.trace.metadata.get("particles", 1)) for node in _ended(tree) if node not in born}
        counts |= {node: 1 for node in born if node.state != "dead"}
        tree.plan, tree.waiting = [], []
        if not counts:
            return
        # A dead end's particle is lost until the next resampling, which makes ``n`` again.
        drawn = await self.drawn(session, tree, counts, self.n)
        for node, count in drawn.items():
            if not count:
                leave(session, node, "pruned", f"round {tree.round}: no particle was drawn from it")
            else:
                node.trace = session.annotate(node.trace, particles=count)
        tree.plan = [(node, count) for node, count in drawn.items() if count and node.state == "open"]

    async def drawn(self, session: Session, tree: StepTree, counts: Mapping[Node, int], total: int) -> dict[Node, int]:
        """How many of ``total`` particles continue from each node, which has so many now."""
        nodes, each = list(counts), np.array(list(counts.values()))
        weights = self.weights(np.repeat(await self.potentials(session, nodes), each), tree.round)
        if effective_size(weights) > self.threshold * len(weights):
            return dict(counts)
        shares = np.add.reduceat(weights, np.cumsum(each) - each)
        chance = np.random.default_rng(session.seed("resample", tree.round))
        return dict(zip(nodes, map(int, SCHEMES[self.scheme](shares, total, chance)), strict=True))

    async def potentials(self, session: Session, nodes: Sequence[Node]) -> DoubleArray:
        """The logarithm of what each node's weight is proportional to."""
        return self.linked([node.score for node in nodes])

    def weights(self, potentials: DoubleArray, step: int) -> DoubleArray:
        """The weight of each particle after ``step`` steps; they sum to 1."""
        return softmax(potentials)

    def linked(self, scores: Sequence[float | None]) -> DoubleArray:
        return linked(np.array([unit_score(score, self.by) or 0.0 for score in scores]), self.link)


def _ended(tree: StepTree) -> list[Node]:
    return tree.having("finished", "cut")
