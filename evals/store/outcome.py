"""What a run knows about one problem when it has finished it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from widthwise.core.brief import Brief, brief
from widthwise.core.problem import Grade, Problem
from widthwise.core.session.ledger import Ledger
from widthwise.core.trace.trace import Finish, TraceId

Graded = Grade | None
"""How right an answer was found; None if there was none, or it was not graded."""

OutcomeState = Literal["open", "done", "error"]

UNFINISHED: frozenset[Finish | None] = frozenset({"pruned", "aborted", "error", "joined"})
"""Finishes of traces that were not allowed to state their answer: they do not count as samples of the model's accuracy.
"""

_ERROR = 240
"""How many characters of an error are shown."""


def credit(graded: Graded) -> float:
    """What an answer counts for where right ones are counted, from 0 to 1; nothing where there is none."""
    return 0.0 if graded is None else float(graded)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One trace with its grade.

    ``finish`` is "joined" for a thread, which is a part of another trace. ``tokens`` were sampled along it. ``answer``
    is None if none could be read; ``correct`` is None if there was no answer or it was not graded. ``vote`` numbers the
    class of equal answers with which it voted.
    """

    id: TraceId
    finish: Finish | None
    tokens: int
    answer: str | None = None
    correct: Graded = None
    vote: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome(Brief):
    """A problem, the answer that a strategy chose, and what that cost.

    ``state`` is "open" for a problem that is not finished yet and "error" for one where something failed for good
    (``errors`` says what); it is tried again when the run is resumed. ``trace`` is one of the vote's winners, ``tied``
    says that the winner was drawn among equals.
    """

    problem: Problem
    state: OutcomeState = "open"
    answer: str | None = None
    correct: Graded = None
    tied: bool = False
    trace: TraceId | None = None
    leaves: tuple[Leaf, ...] = ()
    ledger: Ledger = field(default_factory=Ledger)
    errors: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        if not self.errors:
            return Brief.__repr__(self)
        more = f", and {len(self.errors) - 1} more" if len(self.errors) > 1 else ""
        return f"Outcome({brief(self.problem.id)}, state={self.state!r}, error={brief(self.errors[0], _ERROR)}{more})"

    @property
    def samples(self) -> list[Leaf]:
        """The traces that were allowed to state their answer."""
        return [leaf for leaf in self.leaves if leaf.finish not in UNFINISHED]

    @property
    def cut(self) -> bool:
        """Whether a budget cut its traces before a single one had reached its end."""
        finishes = {leaf.finish for leaf in self.leaves}
        return "budget" in finishes and not finishes & {"stop", "length", None}
