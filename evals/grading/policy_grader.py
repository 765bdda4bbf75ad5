"""What the graders of all tasks share: arguments, and reading what a text states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

from widthwise.core.brief import Brief, brief
from widthwise.core.errors import UsageError
from widthwise.core.problem import Partition, Problem
from widthwise.core.prompting.saying import AnswerInThinking
from widthwise.evals.grading.extraction import MATH, Policy, Reading, check_thinking, read


@dataclass(frozen=True)
class TunableGrader(Brief):
    """A grader with arguments: its fields, except for ``fixed``, are those of ``--grader`` and are kept in run files.

    A grader also has ``extract`` and ``correct``; the other methods of :class:`~widthwise.core.problem.Grader` have
    defaults here, too.
    """

    name: str = ""
    fixed: ClassVar[tuple[str, ...]] = ("name",)
    what: ClassVar[str] = ""
    """What it does, in a few words."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({brief(self.name)})"

    @property
    def settings(self) -> Mapping[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in self.fixed}

    @property
    def about(self) -> str:
        """One line for lists: what it does, with its arguments as ``--grader`` takes them."""
        return f"{self.what}; {', '.join(f'{name}={value!r}' for name, value in self.settings.items())}"

    def changed(self, **arguments: Any) -> Self:
        """This grader with other arguments; raises UsageError for an unknown one."""
        for name, value in arguments.items():
            self._check_argument(name, value)
        return replace(self, **arguments)

    def _check_argument(self, name: str, value: Any) -> None:
        if name not in self.settings:
            raise UsageError(f"the {self.name} grader has no argument {name!r}; it has {', '.join(self.settings)}")
        default = self.settings[name]
        if type(value) is not type(default) and not (isinstance(default, float) and type(value) is int):
            raise UsageError(f"{name} of the {self.name} grader is a {type(default).__name__}, not {value!r}")

    def for_problem(self, problem: Problem) -> Self:
        return self

    async def partition(self, answers: Sequence[str]) -> Partition:
        return Partition.of(answers)

    def remark(self, problem: Problem, answer: str) -> str | None:
        return None

    async def valid(self, problem: Problem, answer: str) -> bool:
        return True


@dataclass(frozen=True)
class PolicyGrader(TunableGrader):
    """Reads answers according to ``policy``."""

    policy: Policy = MATH
    thinking: AnswerInThinking = "last"
    fixed: ClassVar[tuple[str, ...]] = ("name", "policy")

    def __post_init__(self) -> None:
        check_thinking(self.thinking)

    @property
    def about(self) -> str:
        said = self.what or f"reads {self.policy.about}"
        return f"{said}; {', '.join(f'{name}={value!r}' for name, value in self.settings.items())}"

    def extract(self, text: str) -> str | None:
        reading = self.read(text)
        return None if reading is None else reading.answer

    def read(self, text: str) -> Reading | None:
        """Like ``extract``, with where the answer was found."""
        return read(text, self.policy, thinking=self.thinking)
