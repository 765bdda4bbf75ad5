"""Search over steps: one core for all tree methods, and the sampler that takes any frontier selector."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from widthwise.core.errors import BudgetReached
from widthwise.core.registry import register
from widthwise.core.rewards.reward import REDUCTIONS, StepReduction
from widthwise.core.roles import ROLES
from widthwise.core.scores.trace_score import REWARD_MODEL, check_score, trace_scores
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.session import Session
from widthwise.core.strategy.checking import inside
from widthwise.core.strategy.frontier import Frontier, Selection, Selector
from widthwise.core.strategy.sampler_part import SamplerPart
from widthwise.core.strategy.step_tree import Node, StepTree
from widthwise.core.trace.trace import Finish, Trace, TraceId
from widthwise.pruning.top_k import TopK


@dataclass(frozen=True)
class TreeSampler(SamplerPart):
    """The base of all searches by rounds; a method is a ``selector`` and, if it needs them, different ``trees``.

    A round draws one step for every child of the plan (all in one draw), scores the new steps, and lets the selector
    choose among the open nodes. ``n`` is the width of the first round: how many children all nodes have together.

    * A trace that ends by itself is finished and leaves the frontier. Its width is used up, so ``n`` is the number of
      solutions. With ``refill`` the other traces inherit it, every round is ``n`` wide, and the search ends with the
      first ``n`` solutions.
    * A step may have ``max_step_tokens`` tokens, a path ``max_tokens``. Anything longer is cut: it leaves the frontier
      like a finished trace, and stays among the traces, because it may have stated an answer.
    * An empty step after the first, a failed request, and a step that an online pruner stopped are dead ends; their
      width goes to the others.
    * The step at depth ``max_depth`` is not stopped at the separator but runs to the trace's end.

    ``by`` is the score: "reward_model", reduced over the steps by ``reduction``, or another of ``trace_scores``. A node
    that could not be scored stays in the search and ranks last.
    """

    n: int = 16
    _: KW_ONLY
    by: str = REWARD_MODEL
    reduction: StepReduction = "last"
    max_depth: int = 40
    max_step_tokens: int | None = 2048
    max_tokens: int | None = None
    refill: bool = False
    temperature: float | None = None
    top_p: float | None = None

    compete: ClassVar[bool] = False
    """Whether finished traces compete with open ones in a selection; a round that keeps none open is then the last."""

    facts: ClassVar[tuple[str, ...]] = ("score", "round")
    continues: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for what in ("n", "max_depth", "max_step_tokens", "max_tokens"):
            limit = getattr(self, what)
            if limit is not None and limit < 1:
                raise ValueError(f"{what} must be at least 1, not {limit}")
        if self.reduction not in REDUCTIONS:
            raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}, not {self.reduction!r}")

    @property
    def selector(self) -> Selector:
        """Chooses the nodes to expand."""
        raise NotImplementedError

    def check(self, conditions: Conditions) -> None:
        """Raises ``UsageError`` if steps cannot have the score, or if the selector cannot work."""
        check_score(self.by, conditions, self.brief())
        for part in inside(self.selector):
            if (asked := getattr(part, "check", None)) is not None:
                asked(conditions)

    def ends(self, session: Session, node: Node) -> bool:
        """Whether a search whose traces compete ends with ``node``, the best of its round, although it is open."""
        return False

    def trees(self, root: Trace) -> list[StepTree]:
        """The searches to run; several advance independently of each other."""
        return [StepTree.of(root, self.n)]

    async def __call__(self, session: Session) -> list[Trace]:
        return await self.search(session, self.trees(session.root))

    async def resume(self, session: Session, trees: Sequence[StepTree]) -> list[Trace]:
        """Continue unpickled ``trees`` in a session that does not know them."""
        for tree in trees:
            session.adopt(node.trace for node in tree.nodes)
            session.hold(node.trace for node in tree.having("open") if node.depth)
        return await self.search(session, trees)

    async def search(self, session: Session, trees: Sequence[StepTree]) -> list[Trace]:
        """Run ``trees`` to their ends; the traces that may state an answer, in order of their ids."""
        # Side by side if results must not depend on timing: a budget may end the search at any token.
        groups = [list(trees)] if session.lockstep else [[tree] for tree in trees]
        try:
            async with asyncio.TaskGroup() as tasks:
                for group in groups:
                    tasks.create_task(self._grow(session, group))
        except* Exception as errors:
            raise errors.exceptions[0] from None
        ends = [node.trace for tree in trees for node in tree.having("finished", "cut")]
        return sorted(ends, key=lambda trace: trace.id)

    async def _grow(self, session: Session, trees: Sequence[StepTree]) -> None:
        try:
            while live := [tree for tree in trees if tree.plan]:
                await self.round(session, live)
        except BudgetReached as reached:
            for node in [node for tree in trees for node in tree.having("open") if node.depth]:
                leave(session, node, "budget", str(reached))
        session.ledger.discarded += sum(tree.wasted() for tree in trees)
        _note_unscored(session, [node for tree in trees for node in tree.nodes if node.depth])

    async def round(self, session: Session, trees: Sequence[StepTree]) -> None:
        """One round of all ``trees``: expand their plans, score the children, plan the next round."""
        for tree in trees:
            tree.round += 1
            session.go_on_from(node.trace for node in (*(planned for planned, _ in tree.plan), *tree.waiting))
        born = await self.draw(session, trees)
        await self.score(session, [node for nodes in born for node in nodes if node.state != "dead"])
        for tree, nodes in zip(trees, born, strict=True):
            await self.select_next(session, tree, nodes)

    async def draw(self, session: Session, trees: Sequence[StepTree]) -> list[list[Node]]:
        """Draw the children that the plans of ``trees`` ask for; the new nodes of each tree."""
        return await expand(session, trees, self)

    async def seen(self, session: Session, nodes: Sequence[Node]) -> list[Trace]:
        """What is scored of each node: its trace."""
        return [node.trace for node in nodes]

    async def score(self, session: Session, nodes: Sequence[Node]) -> None:
        values, errors = await self.valued(session, await self.seen(session, nodes))
        for node, value, error in zip(nodes, values, errors, strict=True):
            node.score, node.reason = value, node.reason or error or ""
            facts: dict[str, Any] = (
                {"score": value} if value is not None else {"unscored": error or "there was no step yet"}
            )
            node.trace = session.annotate(node.trace, round=node.round, **facts)

    async def valued(
        self, session: Session, traces: Sequence[Trace]
    ) -> tuple[Sequence[float | None], Sequence[str | None]]:
        """The score ``by`` of each trace, and why it has none."""
        if self.by == REWARD_MODEL:
            scores = await session.score(traces, whole=self.reduction == "model")
            return [s.reduced(self.reduction) for s in scores], [s.error for s in scores]
        return await trace_scores(session, traces, self.by), [None] * len(traces)

    async def select_next(self, session: Session, tree: StepTree, born: Sequence[Node]) -> None:
        """Plan the next round, and give up the nodes that it leaves out."""
        stand = ("open", "finished") if self.compete else ("open",)
        candidates = tuple(node for node in (*tree.waiting, *born) if node.state in stand)
        frontier = [node for node in candidates if node.state == "open"]
        tree.plan, tree.waiting = [], []
        width = tree.width if self.refill or self.compete else tree.width - tree.solved
        if not frontier or width < 1 or (self.refill and tree.solved >= tree.width):
            give_up(session, frontier, f"{tree.solved} solutions are complete")
            return
        selection = await self.selector.select(session, Frontier(candidates, width))
        if not isinstance(selection, Selection) or {*selection.widths, *selection.reasons} != set(candidates):
            raise ROLES["selector"].mismatch(str(self.selector), selection)
        kept = {node: share for node, share in selection.widths.items() if node.state == "open"}
        if self.compete and (not kept or any(self.ends(session, node) for node in kept)):
            _end(session, frontier)
            return
        for node, reason in selection.reasons.items():
            leave(session, node, "pruned", f"round {tree.round}: {reason}")
        tree.plan = [(node, share) for node, share in kept.items() if share]
        tree.waiting = [node for node, share in kept.items() if not share]


async def expand(session: Session, trees: Sequence[StepTree], limits: TreeSampler) -> list[list[Node]]:
    """Draw the children that the plans of ``trees`` ask for, in one draw; the new nodes of each tree.

    Besides scores, this is all that a method needs of a session, whether it works by rounds or one node at a time.
    """
    plan = [(tree, node) for tree in trees for node, width in tree.plan for _ in range(width)]
    owners: dict[TraceId, list[tuple[StepTree, Node]]] = defaultdict(list)
    for tree, node in plan:
        owners[node.trace.id].append((tree, node))
    traces = await _drawn(session, [node for _, node in plan], limits)
    held = [node.trace for node in dict.fromkeys(node for _, node in plan) if node.state == "open" and node.depth]
    born: dict[int, list[Node]] = {id(tree): [] for tree in trees}
    first: dict[TraceId, int] = {}
    for trace in traces:
        # Trees may share a root: its children go to them in the order of the plan.
        assert trace.stem is not None
        parents, number = owners[trace.stem.id], trace.head.id[-1]
        place = number - first.setdefault(trace.stem.id, number)
        tree, parent = parents[min(place, len(parents) - 1)]
        born[id(tree)].append(tree.add(parent, trace))
    for _, node in plan:
        node.state = "expanded"
    for tree in trees:
        for node in born[id(tree)]:
            classify(session, node, limits)
        tree.solved += sum(node.state in ("finished", "cut") for node in born[id(tree)])
        session.hold(node.trace for node in born[id(tree)] if node.state == "open")
    session.release(held)
    return [born[id(tree)] for tree in trees]


async def _drawn(session: Session, parents: Sequence[Node], limits: TreeSampler) -> list[Trace]:
    """One child for every entry of ``parents``, in order of their ids; last steps are not stopped at a separator."""
    traces: list[Trace] = []
    for last in (False, True):
        chosen = [node.trace for node in parents if (node.depth + 1 >= limits.max_depth) == last]
        if chosen:
            stop, max_tokens = (None, None) if last else (session.step_separator, limits.max_step_tokens)
            traces += await session.sample(
                chosen, stop=stop, max_tokens=max_tokens, temperature=limits.temperature, top_p=limits.top_p
            )
    return traces


def classify(session: Session, node: Node, limits: TreeSampler) -> None:
    """Set the state of a new node."""
    trace = node.trace
    separated = trace.finish == "stop" and trace.segment.reason == session.step_separator
    if trace.finish in ("error", "aborted", "pruned"):
        node.state, node.reason = "dead", str(trace.segment.reason)
    elif separated and node.depth > 1 and not node.step.strip():
        node.state, node.reason = "dead", "an empty step"
        node.trace = session.end(trace, "pruned", node.reason)
    elif trace.finish in ("length", "budget"):
        node.state, node.reason = "cut", "cut off by a token limit"
    elif not separated:
        node.state = "finished"
    elif limits.max_tokens is not None and node.tokens >= limits.max_tokens:
        node.state, node.reason = "cut", f"the path has {node.tokens} tokens"


def _note_unscored(session: Session, nodes: Sequence[Node]) -> None:
    """Note how many steps had no score, because a search without scores is a different method."""
    asked = [facts for node in nodes if {"score", "unscored"} & (facts := node.trace.segment.metadata).keys()]
    if unscored := [facts["unscored"] for facts in asked if "unscored" in facts]:
        session.note(session.root, f"{len(unscored)} of {len(asked)} steps had no score: {unscored[0]}")


def leave(session: Session, node: Node, finish: Finish, reason: str) -> None:
    """Take a node out of the search; what has children is not given up for being given no more of them."""
    if node.state == "open":
        session.release([node.trace])
    if node.children:
        node.state = "expanded"
        return
    node.state, node.reason = "pruned" if finish == "pruned" else "cut", reason
    node.trace = session.end(node.trace, finish, reason)


def _end(session: Session, nodes: Sequence[Node]) -> None:
    """Leave open nodes as they are, at the end of their search."""
    session.release(node.trace for node in nodes)
    for node in nodes:
        node.state, node.reason = "cut", "its search has ended"


def give_up(session: Session, nodes: Sequence[Node], reason: str) -> None:
    for node in nodes:
        leave(session, node, "pruned", reason)


@register("sampler")
@dataclass(frozen=True)
class TreeSearch(TreeSampler):
    """A search by rounds with any frontier selector, or several: ``select=distinct_steps() | top_k(k=4)``."""

    select: Selector = field(default=TopK(children=4))

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.select, Selector):
            raise ValueError(f"select must be a frontier selector such as top_k(k=4), not {self.select!r}")

    @property
    def selector(self) -> Selector:
        return self.select
