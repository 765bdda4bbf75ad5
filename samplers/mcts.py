"""Monte Carlo tree search over steps."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from widthwise.core.registry import register
from widthwise.core.strategy.tree_policy import TreePolicy
from widthwise.pruning.uct import PUCT, UCT
from widthwise.samplers.policy_search import PolicySearch


@register("sampler")
@dataclass(frozen=True)
class MCTS(PolicySearch):
    """Draws the next steps where an upper confidence bound is highest; their values count for all steps above them.

    ``rule`` "uct" (Kocsis and Szepesvári, 2006) or "puct" (Silver et al., 2017), whose priors are the softmax of the
    steps' own scores; ``c`` weights exploration, None for the rule's usual: sqrt 2, and 1. Each node gets up to
    ``children`` steps. The value of a step is its score ``by`` (a process reward model's, for example); with
    ``rollout`` it is the score of a whole solution sampled from there, which also counts as a solution of the search.
    ``parallel`` steps are drawn at a time under a virtual loss: a step that is being drawn counts as a visit of value
    0.

    Differences from the textbook: traces that have ended are not chosen again, because their value is known, and the
    solutions of all branches are returned for a vote, whereas a game needs one move. Without roll-outs, a wide search
    yields few solutions.
    """

    _: KW_ONLY
    rule: Literal["uct", "puct"] = "uct"
    children: int = 4
    c: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rule not in ("uct", "puct"):
            raise ValueError(f"rule must be 'uct' or 'puct', not {self.rule!r}")
        self.policy  # noqa: B018  (checks its arguments)

    @property
    def policy(self) -> TreePolicy:
        if self.rule == "uct":
            return UCT(self.children, math.sqrt(2) if self.c is None else self.c)
        return PUCT(self.children, 1.0 if self.c is None else self.c)
