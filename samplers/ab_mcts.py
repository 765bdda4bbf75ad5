"""Adaptive branching tree search over whole answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

from widthwise.core.errors import BudgetReached
from widthwise.core.registry import register
from widthwise.core.scores.trace_score import REWARD_MODEL, check_score, trace_scores, unit_score
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.session import Session
from widthwise.core.strategy.sampler_part import SamplerPart
from widthwise.core.strategy.tree import Tree, TreeNode
from widthwise.core.strategy.worker import as_worker, delegate
from widthwise.core.trace.trace import Trace
from widthwise.pruning.adaptive_branching import AdaptiveBranching, ScoreBelief
from widthwise.pruning.mixed_branching import MixedBranching
from widthwise.samplers.workspace import Shown, readable, refining


@register("sampler", "ab_mcts")
@dataclass(frozen=True)
class ABMCTS(SamplerPart):
    """Goes wider (a new answer) or deeper (a refined one) ``n`` times, as Thompson sampling decides at each node.

    AB-MCTS-A (Inoue et al., arXiv 2503.04412; ``AdaptiveBranching`` has the rule), and with ``belief="mixed"``
    AB-MCTS-M (``MixedBranching``). A node is a whole answer; its children are answers written with it in view. With
    several ``models`` (multi-LLM AB-MCTS), a draw from the belief about each of them decides which one writes. ``by``
    scores an answer; the score must be in [0, 1]. Up to ``parallel`` answers are written at a time: the more, the wider
    the tree (the paper's code advises 5 at most). All answers are returned. ``workspace_tokens``, ``show_thinking``,
    ``worker`` and ``refiner`` are those of parallel-distill-refine.
    """

    n: int = 16
    _: KW_ONLY
    by: str = REWARD_MODEL
    belief: ScoreBelief | Literal["mixed"] = "gauss"
    models: tuple[str, ...] = ()
    parallel: int = 4
    workspace_tokens: int | None = 4096
    show_thinking: bool = False
    worker: Any = None
    refiner: Any = None

    facts: ClassVar[tuple[str, ...]] = ("score",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.n, self.parallel) < 1 or (self.workspace_tokens is not None and self.workspace_tokens < 1):
            raise ValueError("n, parallel and workspace_tokens must be at least 1")
        if self.models and self.model is not None:
            raise ValueError(f"its models are named by models=(...), not by model={self.model!r}")
        self.policy  # noqa: B018  (checks its argument)
        for worker in (self.worker, self.refiner):
            if worker is not None:
                as_worker(worker)

    @property
    def policy(self) -> AdaptiveBranching | MixedBranching:
        """The rule by which the search goes wider or deeper."""
        return MixedBranching() if self.belief == "mixed" else AdaptiveBranching(self.belief)

    @property
    def questions(self) -> tuple[str, ...]:
        """What the model is asked besides the problem."""
        return ("refine",) if self.n > 1 else ()

    def check(self, conditions: Conditions) -> None:
        check_score(self.by, conditions, self.brief())
        for model in self.models:
            conditions.models(model)
            for question in self.questions:
                conditions.run.named(model).format.prompt(question)

    async def __call__(self, session: Session) -> list[Trace]:
        tree: Tree[Trace] = Tree(self.policy, seed=session.seed("policy"))
        try:
            while (left := self.n + 1 - len(tree)) > 0 and (places := tree.ask(min(self.parallel, left))):
                await self._write(session, tree, places)
        except BudgetReached:
            if len(tree) == 1 + len(tree.waiting):
                raise
        return [node.content for node in tree.nodes if node.content is not None]

    async def _write(self, session: Session, tree: Tree[Trace], places: Sequence[TreeNode[Trace]]) -> None:
        """Write the requested answers, and tell the tree what they are worth."""
        traces: dict[TreeNode[Trace], Trace | None] = {}
        models = self._writers(session, tree, places)
        for worker, deeper in ((self.worker, False), (self.refiner or self.worker, True)):
            chosen = [place for place in places if (place.parent is not tree.root) == deeper]
            if chosen:
                roots = [self._root(session.by(models[place]), place) for place in chosen]
                traces |= dict(zip(chosen, await delegate(session, worker, roots), strict=True))
        written = {place: trace for place, trace in traces.items() if trace is not None and readable(session, [trace])}
        scores = await trace_scores(session, list(written.values()), self.by)
        values = dict(zip(written, (unit_score(score, self.by) for score in scores), strict=True))
        for place in places:
            if (value := values.get(place)) is None:
                tree.tell(place, failed="nothing was written" if place not in written else "it has no score")
            else:
                trace = session.annotate(written[place], score=value)
                tree.tell(place, value, content=trace)

    def _writers(
        self, session: Session, tree: Tree[Trace], places: Sequence[TreeNode[Trace]]
    ) -> dict[TreeNode[Trace], str | None]:
        """Which model writes each of the requested answers; None: the one that works in the session."""
        if not self.models:
            return dict.fromkeys(places)
        seen: dict[str, list[float]] = {model: [] for model in self.models}
        for node in tree.nodes:
            if node.content is not None and node.score is not None:
                seen[node.content.model].append(node.score)
        scores, seed, first = list(seen.values()), session.seed("models"), len(tree) - len(places)
        return {p: self.models[self.policy.arm(scores, seed, first + i)] for i, p in enumerate(places)}

    def _root(self, session: Session, place: TreeNode[Trace]) -> Trace:
        drafts = [] if place.parent is None or place.parent.content is None else [place.parent.content]
        return refining(session, drafts, Shown(self.workspace_tokens, self.show_thinking))
