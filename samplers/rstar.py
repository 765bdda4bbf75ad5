"""rStar: a search over the moves of a human solver."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np

from widthwise.core.errors import BudgetReached
from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.sampler_part import SamplerPart
from widthwise.core.trace.trace import Trace
from widthwise.samplers.action_search import Place, walk
from widthwise.samplers.human_actions import Actions, Thought


@register("sampler", "rstar")
@dataclass(frozen=True)
class RStar(SamplerPart):
    """Monte Carlo tree search whose moves are five: a next step, the rest, a sub-question, its answer anew, rephrasing.

    Qi et al., "Mutual Reasoning Makes Smaller LLMs Stronger Problem-Solvers" (arXiv 2408.06195). A place is entered
    with all moves that may follow it: ``steps`` next steps, ``asked`` sub-questions with the most frequent of ``votes``
    answers, the most frequent of ``solutions`` whole solutions, and one of the others. ``rollouts`` walks begin at the
    problem (``walk`` has the rule; ``c`` weights exploration) and end with a solution, whose reward is the share of
    solutions that agree with it, or after ``depth`` moves with none. The solutions are returned; the ``frequency`` of
    each is one more than the walks that ended with it, and its ``score`` is its reward times that. The paper then
    checks them: ``mutual_consistency(by='score')``, with another model if there is one.

    The defaults are those of the released code, 16 rollouts those of its script for GSM8K (15 without one, and 32 in
    the paper); they cost hundreds of calls a problem. Differences from it: it words its moves as examples to be
    continued, whereas here they are questions, for any instruct model ("next_step" and so on); a step that says "answer
    is" is also a solution to be checked there, and here only a step; a sub-question that says "Now we can answer" or
    repeats the problem's question ends a walk there, whereas here only the words count, and the model is then asked for
    the whole solution.
    """

    rollouts: int = 16
    _: KW_ONLY
    steps: int = 3
    asked: int = 3
    votes: int = 10
    solutions: int = 32
    depth: int = 5
    c: float = 2.0

    facts: ClassVar[tuple[str, ...]] = ("score", "frequency")
    questions: ClassVar[tuple[str, ...]] = ("next_step", "finish", "sub_question", "sub_answer", "rephrase")

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.rollouts, self.steps, self.asked, self.votes, self.solutions, self.depth) < 1:
            raise ValueError("rollouts, steps, asked, votes, solutions and depth must be at least 1")
        if not 0 <= self.c < float("inf"):
            raise ValueError(f"c must be a finite number of at least 0, not {self.c}")

    async def __call__(self, session: Session) -> list[Trace]:
        root = Place(Thought())
        actions = Actions(session, self.steps, self.asked, self.votes, self.solutions)
        chance = np.random.default_rng(session.seed("walks"))
        try:
            for _ in range(self.rollouts):
                await walk(root, actions.enter, self.depth, self.c, chance)
        except BudgetReached:
            if not _ends(root):
                return session.leaves
        return sorted((_scored(session, end) for end in _ends(root)), key=lambda trace: trace.id)


def _ends(root: Place[Thought]) -> list[Place[Thought]]:
    """The places with a solution."""
    found, left = [], [root]
    while left:
        place = left.pop()
        found += [place] if place.value is not None else []
        left += place.children or []
    return found


def _scored(session: Session, end: Place[Thought]) -> Trace:
    assert end.content.trace is not None
    frequency = 1 + end.visits
    return session.annotate(end.content.trace, score=(end.value or 0.0) * frequency, frequency=frequency)
