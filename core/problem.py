"""A question with its reference answer, and the grader of answers to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Problem:
    """One question of a suite.

    ``answer`` is the reference answer as text (LaTeX without enclosing dollars), or None where the
    problem has no single reference (then only the suite's grader can tell). ``metadata`` holds what the
    source says besides: ``level``, ``subject``, the ``numbers`` of a countdown problem.
    """

    id: str
    text: str
    answer: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("a problem needs a non-empty id")
        if not self.text.strip():
            raise ValueError(f"problem {self.id} has no text")


class Grader(Protocol):
    """Reads answers out of texts and grades them; a suite brings its own.

    ``extract``, ``form`` and ``bucket`` are cheap and synchronous. The others may consult worker processes and are
    bounded in time whatever the strings. A grader is safe to share between problems and tasks.
    """

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """What its readings and verdicts depend on, by name, as JSON values; a run file keeps them."""
        ...

    def for_problem(self, problem: Problem) -> Grader:
        """Who reads and judges answers to ``problem``: itself, unless problems of several tasks are mixed."""
        ...

    def extract(self, text: str) -> str | None:
        """The final answer stated in a model's ``text``; None where none can be read."""
        ...

    def form(self, answer: str) -> str:
        """A cheap normal form: answers of one form are equivalent without further checks."""
        ...

    def bucket(self, answer: str) -> str | None:
        """Answers of different buckets are never equivalent, so that nobody needs to compare them.

        None is compared with every answer; a grader that knows no better says so always.
        """
        ...

    async def equivalent(self, a: str, b: str) -> bool:
        """Whether two predicted answers mean the same (they then vote together)."""
        ...

    async def correct(self, problem: Problem, answer: str) -> bool:
        """Whether ``answer`` is right for ``problem``, by its reference."""
        ...

    async def valid(self, problem: Problem, answer: str) -> bool:
        """Whether ``answer`` meets what can be checked without the reference answer.

        Countdown: the expression uses the given numbers and hits the target. A plain mathematical answer:
        it parses. Used by ``first_valid``.
        """
        ...
