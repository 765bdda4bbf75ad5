"""Diverse verifier tree search: independent greedy subtrees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.frontier import Selector
from widthwise.core.strategy.step_tree import Node, StepTree
from widthwise.core.trace.trace import Trace
from widthwise.pruning.top_k import TopK
from widthwise.samplers.tree_search import TreeSampler


@register("sampler")
@dataclass(frozen=True)
class DVTS(TreeSampler):
    """``n / beam_width`` subtrees, each of which draws ``beam_width`` steps and continues only from the best one.

    Beeching, Tunstall and Rush, "Scaling test-time compute with open models" (2024). Subtrees do not wait for each
    other. Finished steps compete with open ones: a subtree ends when the best step ends its trace, or when the text up
    to it contains ``answered``. All candidates of that last round are returned, including unfinished ones; those that
    finished in an earlier round were beaten and are not. ``refill`` has no effect here: every round of a subtree is
    ``beam_width`` wide.

    Differences from search-and-learn: an empty step is a dead end, whereas there it ends its subtree if it is the best;
    and steps are scored without lookahead (as in its recipes).
    """

    beam_width: int = 4
    answered: str = "boxed{"

    compete: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beam_width < 1 or self.n % self.beam_width:
            raise ValueError(f"n ({self.n}) must be a multiple of beam_width ({self.beam_width})")

    def ends(self, session: Session, node: Node) -> bool:
        """Whether the text up to ``node`` contains an answer."""
        return self.answered in session.solution(node.trace)

    def trees(self, root: Trace) -> list[StepTree]:
        return [StepTree.of(root, self.beam_width) for _ in range(self.n // self.beam_width)]

    @property
    def selector(self) -> Selector:
        return TopK(k=1)
