"""Search over steps in which a tree policy says, one place at a time, where the next steps are drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from widthwise.core.scores.trace_score import check_score, unit_score
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.session import Session
from widthwise.core.strategy.step_tree import Node, StepTree
from widthwise.core.strategy.tree import Tree, TreeNode
from widthwise.core.strategy.tree_policy import TreePolicy
from widthwise.core.trace.trace import Trace
from widthwise.samplers.tree_search import TreeSampler, classify, give_up


@dataclass(frozen=True)
class PolicySearch(TreeSampler):
    """The base of searches by a tree ``policy``. ``n`` solutions end the search.

    ``parallel`` steps are drawn at a time, by as many choices of the policy, which sees steps still being drawn as
    pending. Scores must be in [0, 1]; log-probabilities are exponentiated. A step that could not be scored has no
    children.
    """

    _: KW_ONLY
    parallel: int = 4
    rollout: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.parallel < 1:
            raise ValueError(f"parallel must be at least 1, not {self.parallel}")
        if self.refill:
            raise ValueError("refill has no effect here: a search by a policy has no rounds to fill")

    @property
    def policy(self) -> TreePolicy:
        """Where the next step is drawn."""
        raise NotImplementedError

    def check(self, conditions: Conditions) -> None:
        check_score(self.by, conditions, self.brief())

    def tree(self, session: Session) -> StepTree:
        """The search about to draw its first steps."""
        tree = StepTree.of(session.root, self.n)
        tree.asked = Tree(self.policy, tree.nodes[0], seed=session.seed("policy"))
        self._plan(session, tree)
        return tree

    async def __call__(self, session: Session) -> list[Trace]:
        return await self.search(session, [self.tree(session)])

    async def score(self, session: Session, nodes: Sequence[Node]) -> None:
        """With ``rollout``, only ended traces are scored themselves: an open step has the score of its roll-out."""
        await super().score(session, [node for node in nodes if not self.rollout or node.state != "open"])

    async def select_next(self, session: Session, tree: StepTree, born: Sequence[Node]) -> None:
        assert tree.asked is not None
        values = dict(zip(born, map(self._value, born), strict=True))
        if self.rollout:
            values |= await self._rolled_out(session, tree, [node for node in born if node.state == "open"])
        waiting: dict[int, list[TreeNode[Node]]] = {}
        for place in tree.asked.waiting:
            assert place.parent is not None
            assert place.parent.content is not None
            waiting.setdefault(place.parent.content.index, []).append(place)
        for node in born:
            assert node.parent is not None
            self._tell(tree.asked, waiting[node.parent.index].pop(0), node, values[node])
        for lost in (place for places in waiting.values() for place in places):
            tree.asked.tell(lost, failed="nothing was drawn")
        self._plan(session, tree)

    def _tell(self, asked: Tree[Node], place: TreeNode[Node], node: Node, value: float | None) -> None:
        if node.state == "dead" or value is None:
            asked.tell(place, failed=node.reason or "it has no score")
        else:
            asked.tell(place, value, content=node, finished=node.state in ("finished", "cut"))

    async def _rolled_out(self, session: Session, tree: StepTree, nodes: Sequence[Node]) -> dict[Node, float | None]:
        """The values of the solutions sampled from each of ``nodes``; these are solutions of the search."""
        if not nodes:
            return {}
        by_stem = {node.trace.id: node for node in nodes}
        sampled = await session.sample([n.trace for n in nodes], temperature=self.temperature, top_p=self.top_p)
        ends = []
        for trace in sampled:
            assert trace.stem is not None
            end = tree.add(by_stem[trace.stem.id], trace)
            classify(session, end, self)
            ends.append(end)
        good = [end for end in ends if end.state != "dead"]
        tree.solved += len(good)
        await super().score(session, good)
        return {end.parent: self._value(end) for end in ends if end.parent is not None}

    def _value(self, node: Node) -> float | None:
        return unit_score(node.score, self.by)

    def _plan(self, session: Session, tree: StepTree) -> None:
        """Ask the policy where to continue; give up open nodes when the search is over."""
        assert tree.asked is not None
        open_nodes = [node for node in tree.nodes if node.state in ("open", "expanded") and node is not tree.nodes[0]]
        places = [] if tree.solved >= tree.width else tree.asked.ask(self.parallel)
        if not places:
            tree.plan, tree.waiting = [], []
            give_up(session, tree.having("open"), f"{tree.solved} solutions are complete")
            return
        counts = Counter(place.parent.content for place in places if place.parent is not None and place.parent.content)
        tree.plan = list(counts.items())
        for node in counts:
            if node.state == "expanded" and node.parent is not None:  # it has children, and gets more
                node.state = "open"
                session.hold([node.trace])
        tree.waiting = [node for node in open_nodes if node.state == "open" and node not in counts]
