"""Tree of thoughts: a search over steps that the model itself judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from widthwise.core.registry import register
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.session import Session
from widthwise.core.strategy.frontier import Frontier, Selection, Selector, ranked, shown
from widthwise.core.strategy.step_tree import Node, StepTree
from widthwise.core.strategy.verification import note_silence
from widthwise.core.trace.trace import Trace
from widthwise.pruning.distinct_steps import DistinctSteps
from widthwise.samplers.state_evaluation import SILENT, VALUE, VOTE, valued, voted
from widthwise.samplers.tree_search import TreeSampler, give_up, leave


@dataclass(frozen=True)
class Breadth(Selector):
    """Keeps as many of the best nodes as the frontier is wide; each of them gets ``children`` children."""

    children: int

    def __post_init__(self) -> None:
        if self.children < 1:
            raise ValueError(f"children must be at least 1, not {self.children}")

    async def select(self, session: Session, frontier: Frontier) -> Selection:
        order = ranked(frontier.nodes)
        kept, others = order[: frontier.width], order[frontier.width :]
        reasons = {node: f"{shown(node.score)} is not among the best {frontier.width}" for node in others}
        return Selection(dict.fromkeys(kept, self.children), reasons)


@register("sampler")
@dataclass(frozen=True)
class TreeOfThoughts(TreeSampler):
    """Each step is followed by ``children`` sampled ones, which the model itself evaluates; no reward model is needed.

    Yao et al., "Tree of Thoughts" (arXiv 2305.10601). ``by`` "value" asks ``k`` times of each step whether the solution
    up to it can still be completed; "sure", "likely" and "impossible" are worth 20, 1 and 0.001, and the sum is its
    score. "vote" shows all new steps side by side, and the score is how many of ``k`` replies chose it. ``k`` None is
    the paper's: 3 values, 5 votes. A reply that names none of the words, or no number, counts for nothing.

    ``order`` "breadth" is the paper's BFS: the best ``n`` steps of a level are continued, and those that end their
    trace use up their width. "depth" is its DFS: the best new step above ``threshold`` is continued at once, and when a
    step has none left, the search goes back to the one before. It ends with ``n`` solutions above the threshold; others
    are only returned if there is none above it. At the default threshold, one reply that is better than "impossible" is
    enough. The paper visits at most 100 steps: ``budget(samples=100)``.

    Differences from the released code: thoughts are sampled one by one (its "sample"), not listed in one reply (its
    "propose"); of equal steps, one is kept, whereas there the others are worth 0; ended traces are evaluated in the
    words of the beginnings; a step about which no reply says anything has no score, whereas there it is worth 0: in
    breadth it comes last either way, and in depth it is not rejected. (The released DFS, for crosswords alone, has no
    sum and no threshold: it rejects a state in which one reply calls one clue "impossible", which silence does not.)
    """

    n: int = 5
    _: KW_ONLY
    by: str = VALUE
    children: int = 5
    k: int | None = None
    order: Literal["breadth", "depth"] = "breadth"
    threshold: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.by not in (VALUE, VOTE) or self.order not in ("breadth", "depth"):
            raise ValueError("by must be 'value' or 'vote', and order 'breadth' or 'depth'")
        if self.order == "depth" and self.by == VOTE:
            raise ValueError("a search in depth compares steps of different rounds, which votes cannot: use by='value'")
        if self.children < 1 or (self.k or 1) < 1:
            raise ValueError("children and k must be at least 1")
        if self.threshold < 0:
            raise ValueError(f"threshold must be at least 0, not {self.threshold}")
        if self.refill or self.reduction != "last":
            raise ValueError("refill and reduction have no meaning here")

    @property
    def questions(self) -> tuple[str, ...]:
        """What the model is asked besides the problem."""
        return (self.by,)

    @property
    def selector(self) -> Selector:
        chosen: Selector = DistinctSteps() | Breadth(self.children)
        return chosen

    def check(self, conditions: Conditions) -> None:
        """Nothing is needed but the questions."""

    def trees(self, root: Trace) -> list[StepTree]:
        tree = StepTree.of(root, self.n)
        tree.plan = [(tree.nodes[0], self.children)]
        return [tree]

    async def valued(
        self, session: Session, traces: Sequence[Trace]
    ) -> tuple[Sequence[float | None], Sequence[str | None]]:
        if self.by == VALUE:
            return await valued(session, traces, self.k or 3), [SILENT] * len(traces)
        return await voted(session, traces, self.k or 5), [SILENT] * len(traces)

    async def search(self, session: Session, trees: Sequence[StepTree]) -> list[Trace]:
        ends = await super().search(session, trees)
        replies = [reply for reply in session.judgements if "value" in reply.metadata]
        said = sum(reply.metadata["value"] is not None for reply in replies)
        note_silence(session, said, len(replies), replies)
        rejected = {node.trace.id for tree in trees for node in tree.nodes if self._is_rejected(node)}
        return [trace for trace in ends if trace.id not in rejected] or ends

    async def select_next(self, session: Session, tree: StepTree, born: Sequence[Node]) -> None:
        if self.order == "breadth":
            await super().select_next(session, tree, born)
            return
        tree.solved -= sum(self._is_rejected(node) for node in born if node.state in ("finished", "cut"))
        tree.plan, opened = [], [node for node in born if node.state == "open"]
        kept = await self._worth_going_on(session, tree, opened)
        stack = [*tree.waiting, *reversed(ranked(kept))]  # the best new step is on top
        if tree.solved >= self.n:
            tree.waiting = []
            give_up(session, stack, f"{tree.solved} solutions are complete")
        elif stack:
            *tree.waiting, top = stack
            tree.plan = [(top, self.children)]

    async def _worth_going_on(self, session: Session, tree: StepTree, nodes: Sequence[Node]) -> list[Node]:
        """The ``nodes`` that differ and are above the threshold; the others leave the search."""
        if not nodes:
            return []
        distinct = await DistinctSteps().select(session, Frontier(tuple(nodes), len(nodes)))
        reasons = dict(distinct.reasons)
        reasons |= {
            node: f"{shown(node.score)} is not above the threshold" for node in nodes if self._is_rejected(node)
        }
        for node, reason in reasons.items():
            leave(session, node, "pruned", f"round {tree.round}: {reason}")
        return [node for node in nodes if node not in reasons]

    def _is_rejected(self, node: Node) -> bool:
        """Whether the model gave the node up; one that it said nothing about is not rejected."""
        return self.order == "depth" and node.score is not None and node.score <= self.threshold
