"""Branching at uncertain tokens: a step is drawn again from where the model was undecided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np

from widthwise.core.brief import counted
from widthwise.core.registry import register
from widthwise.core.scores.entropy import token_entropy
from widthwise.core.session.session import Session
from widthwise.core.strategy.frontier import Selector
from widthwise.core.strategy.step_tree import Node, StepTree
from widthwise.core.trace.trace import Trace
from widthwise.pruning.top_k import TopK
from widthwise.samplers.tree_search import TreeSampler


@register("sampler")
@dataclass(frozen=True)
class EntropyGatedBranching(TreeSampler):
    """Draws one step of each of the ``n`` best traces, and ``branches`` from its first uncertain token, if it has one.

    Li et al., "Entropy-Gated Branching for Efficient Test-Time Reasoning" (arXiv 2503.21961). The search begins with
    ``n`` first steps. From then on a step whose tokens are all certain is taken as it is. If the entropy of one is
    above ``threshold`` (in nats), the step is thrown away from the first such token on, and ``branches`` continuations
    of what precedes it are drawn instead. The ``n`` best open traces go on; the search ends with ``n`` solutions, and
    the paper answers with the best of them (``best_by(score='score')``). Threshold and branches are the defaults of
    the released code.

    The entropy is computed from the ``k`` most likely tokens, and never overstated: ``token_entropy`` says by how much
    it may fall short. A step that is drawn again is charged, and counts as discarded; the part of it that is kept is
    inserted text in the new ones, so that scores computed from log-probabilities do not see it. Differences from the
    release: it begins with ``branches`` first steps, whereas here it is ``n`` (both are 4 by default); the entropy is
    that of the raw distribution, not after temperature and filters; ``max_step_tokens`` limits a continuation, not
    together with the part of the step before it; a last step (``max_depth``) does not branch. A step that a server sent
    without these log-probabilities is taken as it is, which is noted.
    """

    n: int = 4
    _: KW_ONLY
    branches: int = 4
    threshold: float = 1.5
    k: int = 20
    refill: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.branches, self.k) < 1:
            raise ValueError("branches and k must be at least 1")
        if not 0 <= self.threshold < np.inf:
            raise ValueError(f"threshold is an entropy of at least 0 nats, not {self.threshold}")

    @property
    def logprobs(self) -> int:
        """How many of the most likely tokens the traces must record."""
        return self.k

    @property
    def selector(self) -> Selector:
        return TopK(k=self.n)

    async def select_next(self, session: Session, tree: StepTree, born: Sequence[Node]) -> None:
        await super().select_next(session, tree, born)
        tree.plan = [(node, 1) for node, _ in tree.plan]

    async def draw(self, session: Session, trees: Sequence[StepTree]) -> list[list[Node]]:
        """One step of every planned node, or what was drawn instead from its first uncertain token."""
        drafts = await super().draw(session, trees)
        self._note_unknown(session, [node.trace for nodes in drafts for node in nodes])
        forks = [self._forks(session, tree, nodes) for tree, nodes in zip(trees, drafts, strict=True)]
        for tree, turned in zip(trees, forks, strict=True):
            tree.plan = [(fork, self.branches) for fork in turned]
        grown = await super().draw(session, trees) if any(forks) else [[] for _ in trees]
        taken = [[n for n in nodes if n not in turned] for nodes, turned in zip(drafts, forks, strict=True)]
        return [before + after for before, after in zip(taken, grown, strict=True)]

    def _forks(self, session: Session, tree: StepTree, drafts: Sequence[Node]) -> list[Node]:
        """Those of ``drafts`` that hold an uncertain token, each turned into the place before it."""
        forks = []
        for node in drafts:
            last = node.depth == 1 or node.depth >= self.max_depth or node.trace.finish not in ("stop", "length")
            if not last and node.state != "dead" and (found := self._uncertain(node.trace)) is not None:
                _turn_back(session, tree, node, *found)
                forks.append(node)
        return forks

    def _uncertain(self, trace: Trace) -> tuple[Trace, int, float] | None:
        """The piece of the step with the first uncertain token, how many tokens precede it there, and its entropy."""
        for piece in filter(self._knows, _sampled(trace)):
            entropy = token_entropy(piece.segment.stats, self.k)
            if (above := np.flatnonzero(entropy > self.threshold)).size:
                return piece, int(above[0]), float(entropy[above[0]])
        return None

    def _knows(self, piece: Trace) -> bool:
        """Whether the piece came with the log-probabilities of its most likely tokens: servers may leave some out."""
        stats = piece.segment.stats
        return stats is not None and stats.top_logprobs is not None and stats.top_logprobs.shape[1] >= self.k

    def _note_unknown(self, session: Session, drafts: Sequence[Trace]) -> None:
        unknown = sum(any(len(piece.segment) and not self._knows(piece) for piece in _sampled(t)) for t in drafts)
        if unknown:
            without = f"without the log-probabilities of their {self.k} most likely tokens, and cannot branch"
            session.note(session.root, f"{unknown} of {counted(len(drafts), 'step')} of a round came {without}")


def _sampled(trace: Trace) -> list[Trace]:
    """The sampled pieces of what was drawn, the first one first."""
    pieces = set(map(id, trace.pieces))
    return [n for n in trace.lineage if id(n.segment) in pieces and n.segment.origin == "sampled"][::-1]


def _turn_back(session: Session, tree: StepTree, node: Node, piece: Trace, tokens: int, entropy: float) -> None:
    """Turn the drawn step ``node`` into the place in it where it is to branch."""
    drawn = node.trace
    if node.state == "open":
        session.release([drawn])
    else:
        tree.solved -= 1
    node.trace = session.cut(piece, tokens)
    kept = piece.tokens - len(piece.segment) + len(node.trace.segment)
    node.tokens, node.depth = node.tokens - (drawn.tokens - kept), node.depth - 1
    node.state = "expanded"
    node.reason = f"round {node.round}: drawn again after {counted(tokens, 'token')} (entropy {entropy:.2f})"
    session.end(session.annotate(drawn, round=node.round), "pruned", node.reason)
