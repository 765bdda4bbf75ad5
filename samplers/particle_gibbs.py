"""Particle Gibbs: a particle filter that is run again and again, around a trace of the run before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field

import numpy as np

from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.step_tree import Node, StepTree
from widthwise.core.trace.trace import Trace
from widthwise.samplers.particle_filter import ParticleFilter
from widthwise.samplers.tree_search import leave


@dataclass(slots=True, eq=False)
class GibbsTree(StepTree):
    """All iterations in one tree.

    ``references`` are the retained ends of the iteration before (an end may be there twice). ``ended`` says how many of
    this iteration's other particles have come to each end, after ``step`` steps.
    """

    iteration: int = 1
    step: int = 0
    references: list[Node] = field(default_factory=list)
    ended: dict[Node, int] = field(default_factory=dict)


@register("sampler")
@dataclass(frozen=True)
class ParticleGibbs(ParticleFilter):
    """``iterations`` particle filters of ``n`` particles, each around ``references`` retained traces of the last one.

    Iterated conditional sequential Monte Carlo (Andrieu, Doucet and Holenstein, 2010) as Puri et al. use it (arXiv
    2502.01618: 16 particles, 4 iterations, one reference). At the end of an iteration the references are drawn by the
    particles' weights. In the next one they are ``references`` of the ``n`` particles: never lost, and others may be
    drawn from their prefixes. The result are the particles of the last iteration, each trace with its count. Everything
    else is as in ``ParticleFilter``.

    Difference from the released code: a reference competes with the score of the prefix that is as long as the others
    are, as conditional sequential Monte Carlo has it, whereas there it always has the score of its end.
    """

    _: KW_ONLY
    iterations: int = 4
    references: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.iterations < 1 or not 1 <= self.references < max(self.n, 2):
            raise ValueError("iterations must be at least 1, and references from 1 to less than n")
        if self.threshold != 1:
            raise ValueError("threshold has no meaning here: a reference is retained by resampling at every step")

    def trees(self, root: Trace) -> list[StepTree]:
        return [GibbsTree.of(root, self.n)]

    async def select_next(self, session: Session, tree: StepTree, born: Sequence[Node]) -> None:
        assert isinstance(tree, GibbsTree)
        tree.step += 1
        tree.plan, tree.waiting = [], []
        free = {**tree.ended, **{node: 1 for node in born if node.state != "dead"}}
        counts = _added(free, [_on_path(end, tree.step) for end in tree.references])
        if counts:
            drawn = await self.drawn(session, tree, counts, self.n - len(tree.references))
            self._continue(session, tree, drawn)
        if not tree.plan:
            self._complete(session, tree)

    def _continue(self, session: Session, tree: GibbsTree, drawn: Mapping[Node, int]) -> None:
        """Take out of the search what was not drawn, and plan the next step of what was."""
        retained = {node for end in tree.references for node in (end, *end.ancestors)}
        tree.ended = {node: count for node, count in drawn.items() if count and node.state in ("finished", "cut")}
        for node, count in drawn.items():
            if not count and node not in retained:
                leave(session, node, "pruned", f"round {tree.round}: no particle was drawn from it")
            elif count and node in tree.ended:
                node.trace = session.annotate(node.trace, particles=count)
            elif count:
                if node.state == "expanded":  # a step of a reference, from which others go on
                    node.state = "open"
                    session.hold([node.trace])
                tree.plan.append((node, count))

    def _complete(self, session: Session, tree: GibbsTree) -> None:
        """Draw the references of the next iteration and begin it, or end the search with the last one's particles."""
        particles = _added(tree.ended, tree.references)
        for node, count in particles.items():
            node.trace = session.annotate(node.trace, particles=count)
        if tree.iteration == self.iterations:
            return
        tree.references = self._drawn_references(session, particles, tree.iteration)
        for node in particles:
            if node not in tree.references:
                leave(session, node, "pruned", f"iteration {tree.iteration}: it was not drawn as a reference")
        tree.iteration, tree.step, tree.ended = tree.iteration + 1, 0, {}
        tree.plan = [(tree.nodes[0], self.n - len(tree.references))]

    def _drawn_references(self, session: Session, particles: Mapping[Node, int], iteration: int) -> list[Node]:
        if not particles:
            return []
        ends = [node for node, count in particles.items() for _ in range(count)]
        weights = self.weights(self.linked([end.score for end in ends]), self.max_depth)
        chance = np.random.default_rng(session.seed("references", iteration))
        return [ends[i] for i in chance.choice(len(ends), self.references, p=weights)]


def _on_path(end: Node, step: int) -> Node:
    """The node after ``step`` steps on the path to ``end``, or ``end`` if the path is shorter."""
    return next((node for node in end.ancestors if node.depth == step), end)


def _added(counts: Mapping[Node, int], more: Sequence[Node]) -> dict[Node, int]:
    """``counts`` with one more for each of ``more``."""
    added = dict(counts)
    for node in more:
        added[node] = added.get(node, 0) + 1
    return added
