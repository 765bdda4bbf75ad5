"""A question with its reference answer, and the grader of answers to it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from widthwise.core.brief import Brief
from widthwise.core.conversation import Message, messages_in
from widthwise.core.errors import UsageError
from widthwise.core.plain_json import well_formed

EARLIER = "earlier_turns"
"""The key of metadata for the turns of a conversation before the question."""


@dataclass(frozen=True, slots=True)
class Problem(Brief):
    """One question of a suite.

    ``answer`` is the reference answer as text (LaTeX without enclosing dollars), or None where the problem has no
    single reference (only the suite's grader can then tell). ``metadata`` holds everything else the source provides:
    ``level``, ``subject``, the ``numbers`` of a countdown problem, and the turns of a conversation before the question
    (``earlier``).
    """

    id: str
    text: str
    answer: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("id", "text", "answer"):
            if isinstance(said := getattr(self, name), str):
                object.__setattr__(self, name, well_formed(said))
        if not self.id:
            raise ValueError("a problem needs a non-empty id")
        if not self.text.strip():
            raise ValueError(f"the problem {self.id!r} has no text")

    @classmethod
    def asked(
        cls,
        messages: Iterable[Any],
        *,
        id: str = "problem",
        answer: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Problem:
        """The problem that ends a conversation: ``{"role": "user", "content": text}``, preceded by other turns.

        Raises ``UsageError`` for something that is not a conversation, and if the last message is not the user's, or
        has no text.
        """
        *earlier, last = messages_in(messages) or [{"role": "", "content": ""}]
        if last["role"] != "user":
            raise UsageError("a conversation that is to be answered ends with a message of the user")
        if not last["content"].strip():
            raise UsageError("the last message, which is to be answered, has no text")
        return cls(id, last["content"], answer, {**(metadata or {}), **({EARLIER: earlier} if earlier else {})})

    @property
    def earlier(self) -> tuple[Message, ...]:
        """The turns of a conversation before the question; ``UsageError`` if the metadata hold something else."""
        return tuple(messages_in(self.metadata.get(EARLIER, ())))

    @property
    def told(self) -> str:
        """The question, preceded by its conversation, as a single text for a reader."""
        turns = [f"{turn['role'].capitalize()}: {turn['content']}" for turn in self.earlier]
        return "\n\n".join([*turns, f"User: {self.text}"]) if turns else self.text


Grade = bool | float
"""How right an answer is: True, False, or a number from 0 to 1. Wherever right answers are counted, it counts for so
much."""


@dataclass(frozen=True, slots=True)
class Partition(Brief):
    """Positions of answers grouped by meaning, classes in order of first appearance.

    ``open`` holds the numbers of classes whose meaning could not be fully determined: they may be the same as other
    classes.
    """

    classes: list[list[int]]
    open: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, keys: Iterable[Hashable]) -> Partition:
        """Answers with equal keys form one class."""
        classes: dict[Hashable, list[int]] = {}
        for position, key in enumerate(keys):
            classes.setdefault(key, []).append(position)
        return cls(list(classes.values()))

    @property
    def undecided(self) -> list[tuple[int, int]]:
        """The pairs of classes that may be the same."""
        doubtful = set(self.open)
        others = [n for n in range(len(self.classes)) if n not in doubtful]
        return [(a, b) for i, a in enumerate(self.open) for b in (*others, *self.open[i + 1 :])]


class Grader(Protocol):
    """Reads answers out of texts and grades them; a suite brings its own.

    Your own grader derives from this class and has ``name``, ``extract`` and ``correct``; the other methods have
    defaults. With a true ``judges_texts``, ``correct`` gets all that a trace says, where that is known, in place of the
    answer. ``extract`` is cheap and synchronous; the others take bounded time on any strings. A grader may be shared
    between problems and tasks.
    """

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings it reads and grades by, by name, as JSON values; a run file keeps them."""
        return {}

    def for_problem(self, problem: Problem) -> Grader:
        """The grader of answers to ``problem``: itself, unless the suite mixes problems of several tasks."""
        return self

    @abstractmethod
    def extract(self, text: str) -> str | None:
        """The final answer that a model's ``text`` states; None if none can be read."""

    async def partition(self, answers: Sequence[str]) -> Partition:
        """Predicted answers grouped by meaning: a class votes together. The default groups by spelling.

        This is an equivalence relation: the order of the answers does not matter, and leaving some out does not regroup
        the rest.
        """
        return Partition.of(answers)

    @abstractmethod
    async def correct(self, problem: Problem, answer: str) -> Grade:
        """Whether ``answer`` matches the reference of ``problem``, or a number from 0 to 1 for a part of it."""

    def remark(self, problem: Problem, answer: str) -> str | None:
        """A remark on how ``answer`` was graded, for example that its program could not be run; None for none."""
        return None

    async def valid(self, problem: Problem, answer: str) -> bool:
        """Whether ``answer`` meets what can be checked without the reference answer; by default, always.

        Countdown: the expression uses the given numbers and hits the target. A plain mathematical answer: it parses.
        Used by ``first_valid``.
        """
        return True
