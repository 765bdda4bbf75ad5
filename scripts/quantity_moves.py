"""The moves of a human solver for `quantities`, which `rstar` asks for: thoughts are read, and the next one is written.

    U = A - Y; A = B * V; V = Z + 7; G = 28; B = G - 14; Z = 15; Y = 2. U?      <- the problem
    A?                                                                          <- a sub-question
    A: B * V, B: 28 - 14, V: 15 + 7 [...] \\boxed{308}                           <- its answer: a solution of that part
    U: 308 - 2                                                                  <- a next step: a plan of the rest
    U = A - Y = 308 - 2 = 306                                                   <- the next one
    U: 308 - 2 [...] \\boxed{306}                                                <- or the rest at once
    U = A - 2; A = B * V; B = 28 - 14; V = 15 + 7. U?                           <- the problem rephrased

What has been worked out is known: a number in a smaller problem. An answer and the rest are solutions of such problems,
like those that the model writes to a problem, and a next step is that of a solution.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from documents import Document, document
from quantity_skills import part
from quantity_solutions import boxed_answer, plan, quantities_solution, systems

from widthwise.core.problem import Problem
from widthwise.evals.suites.quantity_steps import QuantityStep
from widthwise.evals.suites.quantity_system import QuantitySystem
from widthwise.models.formats import QUANTITIES

REPHRASED = 0.25
"""How often a problem has been rephrased before it is worked on."""
ANSWERED = (0, 1, 1, 2, 2, 3)
"""How many sub-questions have been answered, as far as there are any to ask."""
STEPS = (0, 0, 1, 1, 2, 2, 3, 4)
"""How many steps have been written after them."""
SIZES = {1: 1, 2: 4, 3: 6, 4: 4, 5: 2}
"""How often a quantity that takes so many operations is asked for."""
FEW = 2
"""With so many operations left, or fewer, the problem itself can be answered."""
ENOUGH = "Now we can answer."
LONGEST = 1050
"""Characters of a document: fewer than 768 tokens."""


@dataclass
class Work:
    """A problem as it is shown, and what has been thought about it."""

    key: str
    system: QuantitySystem
    thoughts: list[str] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=dict)

    @property
    def left(self) -> QuantitySystem:
        """The problem in which what is known is given."""
        return QuantitySystem({**self.system.definitions, **self.known}, self.system.target)

    def think(self, text: str) -> None:
        """One more thought; what its steps state is known."""
        self.thoughts.append(text)
        stated = filter(None, map(QuantityStep.read, text.split(QUANTITIES.step_separator)))
        self.known |= {each.name: each.value for each in stated}

    def document(self, move: str, answer: str, asked: str = "") -> Document:
        """The question for a move, as the model's prompt format has it, and what is written."""
        fields = {"progress": QUANTITIES.listed("thought", self.thoughts), "asked": asked}
        (turn,) = QUANTITIES.question(move, Problem(self.key, str(self.system)), "", fields)
        return document(self.key, move, turn["content"], answer)


def moves(rng: random.Random, levels: Sequence[int]) -> Iterator[Document]:
    """One move at each problem; those that get too long are left out."""
    for asked in systems(rng, levels):
        (move,) = rng.choices([*MOVES], [*MOVES.values()])
        anew = move is not rephrase and rng.random() < REPHRASED
        made = move(Work(asked.key, rephrased(asked.system, rng) if anew else asked.system), rng)
        if len(made.text) <= LONGEST:
            yield made


def rephrased(system: QuantitySystem, rng: random.Random) -> QuantitySystem:
    """Only what is needed, as a plan has it: from the target on, with numbers for what is given."""
    definitions = plan(system, rng, "; ").replace(": ", " = ")
    return QuantitySystem.read(f"{definitions}. {system.target}?")


def solution(system: QuantitySystem, rng: random.Random) -> str:
    """A solution; only the answer if the target is known."""
    return boxed_answer(system) if system.target in system.given else quantities_solution(system, rng)


# --- What has been thought ----------------------------------------------------------------------------------------


def answer_some(work: Work, rng: random.Random) -> None:
    """Sub-questions are asked and answered."""
    for _ in range(rng.choice(ANSWERED)):
        if not enough(work):
            asked = useful(work.left, rng)
            work.think(f"{asked.target}?\n{solution(asked, rng)}")


def write_some(work: Work, rng: random.Random) -> str:
    """Steps of a solution are written; the one that follows. A problem that says only what is needed needs no plan."""
    steps = solution(work.left, rng).split(QUANTITIES.step_separator)
    if not work.system.given:
        steps = steps[1:] or steps
    written = min(rng.choice(STEPS), len(steps) - 1)
    for text in steps[:written]:
        work.think(text)
    return steps[written]


def enough(work: Work) -> bool:
    """Whether enough is known to answer the problem itself."""
    return len(work.left.needed) <= FEW


def useful(left: QuantitySystem, rng: random.Random) -> QuantitySystem:
    """A part of what is left to ask for, mostly one of a middle size."""
    parts = [part(left, name) for name in sorted(left.needed - {left.target})]
    return rng.choices(parts, [SIZES.get(len(each.needed), 0) for each in parts])[0]


# --- The moves ----------------------------------------------------------------------------------------------------


def next_step(work: Work, rng: random.Random) -> Document:
    answer_some(work, rng)
    following = write_some(work, rng)
    return work.document("next_step", following)


def finish(work: Work, rng: random.Random) -> Document:
    answer_some(work, rng)
    write_some(work, rng)
    return work.document("finish", solution(work.left, rng))


def sub_question(work: Work, rng: random.Random) -> Document:
    answer_some(work, rng)
    return work.document("sub_question", ENOUGH if enough(work) else f"{useful(work.left, rng).target}?")


def sub_answer(work: Work, rng: random.Random) -> Document:
    """An answer; the rest where there is nothing to ask."""
    answer_some(work, rng)
    if enough(work):
        return work.document("finish", solution(work.left, rng))
    asked = useful(work.left, rng)
    return work.document("sub_answer", solution(asked, rng), f"{asked.target}?")


def rephrase(work: Work, rng: random.Random) -> Document:
    return work.document("rephrase", str(rephrased(work.system, rng)))


MOVES: dict[Callable[[Work, random.Random], Document], int] = {
    next_step: 3,
    finish: 4,
    sub_question: 3,
    sub_answer: 4,
    rephrase: 2,
}
"""How often each is made."""
