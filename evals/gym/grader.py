"""The grader of answers to reasoning-gym problems: the generator's own scorer, in a process that can only compute."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from widthwise.core.errors import UsageError
from widthwise.core.problem import Partition, Problem
from widthwise.core.sandbox.sandbox import require_walls
from widthwise.evals.grading.boxes import boxes
from widthwise.evals.grading.equality import Verdict
from widthwise.evals.grading.extraction import Policy, Reading, parts
from widthwise.evals.grading.lines import answer_lines
from widthwise.evals.grading.policy_grader import PolicyGrader
from widthwise.evals.gym.arguments import plain_arguments
from widthwise.evals.gym.server import SERVER

MAX_ANSWER_CHARS = 20_000
"""A longer answer does not count: the longest are grids."""

_TAGGED = re.compile(r"(?i)<answer>")
_CLOSED = re.compile(r"(?i)</answer>")


def as_stated(statement: str, prose: bool) -> str:
    """The statement, whatever it is."""
    return statement.strip().strip("*").strip()


STATED = Policy((boxes, answer_lines), as_stated, about="what stands between <answer> and </answer>")

_OTHER = "OtherProblem:"
"""How a refusal begins if the generator has changed since it made the problem."""


@dataclass(frozen=True)
class GymGrader(PolicyGrader):
    """An answer is right if the generator's scorer gives it at least ``threshold`` of 1.

    The scorer may take ``seconds`` of processor time. An answer is the content of the last ``<answer>`` tags, verbatim;
    without tags, the last box or answer line. Votes go by spelling, ignoring blanks.
    """

    name: str = "gym"
    policy: Policy = STATED
    threshold: float = 1.0
    seconds: float = 20.0
    seen: dict[tuple[str, int, str], Verdict] = field(default_factory=dict, compare=False, repr=False)
    fixed: ClassVar[tuple[str, ...]] = ("name", "policy", "seen")
    what: ClassVar[str] = "asks the scorer of a generator of reasoning-gym"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.threshold <= 1 or not 0 < self.seconds < math.inf:
            raise UsageError("the gym grader needs a threshold above 0 and at most 1, and seconds above 0")

    def read(self, text: str) -> Reading | None:
        for part in parts(text, self.thinking):
            if tags := list(_TAGGED.finditer(part)):
                end = _CLOSED.search(part, tags[-1].end())
                said = part[tags[-1].end() : end.start() if end else len(part)].strip()
                return Reading(said, "tags", tags[-1].start(), said) if 0 < len(said) <= MAX_ANSWER_CHARS else None
        return super().read(text)

    async def partition(self, answers: Sequence[str]) -> Partition:
        return Partition.of(" ".join(answer.split()) for answer in answers)

    async def correct(self, problem: Problem, answer: str) -> bool:
        """Raises UsageError for another kind of problem, and if the generator now makes a different problem."""
        return (await self.verdict(problem, answer)).outcome == "same"

    async def verdict(self, problem: Problem, answer: str) -> Verdict:
        """Like ``correct``, with the score."""
        asked = _asked(problem)
        known = (problem.text, asked["index"], answer)
        if known not in self.seen:
            require_walls()
            reply = await asyncio.to_thread(SERVER.ask, self.seconds, do="score", answer=answer, **asked)
            self.seen[known] = self._verdict(problem, reply)
        return self.seen[known]

    def _verdict(self, problem: Problem, reply: Mapping[str, Any]) -> Verdict:
        match reply:
            case {"value": {"score": int() | float() as score}}:
                right = self.threshold <= score <= 1
                return Verdict("same" if right else "different", f"its scorer gives {score:g} of 1")
            case {"value": {"raised": str(why)}}:
                return Verdict("different", f"its scorer cannot read it: {why}")
        why = str(reply.get("refusal"))
        if why.startswith(_OTHER):
            raise UsageError(
                f"problem {problem.id} was made by reasoning-gym {problem.metadata.get('reasoning_gym')}, but the "
                "installed version makes a different problem from its arguments: install that version"
            )
        return Verdict("not decided", f"not scored: {why}")

    def remark(self, problem: Problem, answer: str) -> str | None:
        verdict = self.seen.get((problem.text, _asked(problem)["index"], answer))
        undecided = verdict is not None and verdict.outcome == "not decided"
        return f"an answer that counts as wrong was {verdict.rule}" if verdict and undecided else None


def is_gym(problem: Problem) -> bool:
    """Whether a problem names the generator that made it."""
    return {"gym", "config", "index"} <= problem.metadata.keys()


def _asked(problem: Problem) -> dict[str, Any]:
    said = problem.metadata
    match said.get("gym"), said.get("config"), said.get("index"):
        case str(name), dict(config), int(index):
            return {"name": name, "config": plain_arguments(name, config), "index": index, "question": problem.text}
    raise UsageError(f"problem {problem.id} is not from reasoning-gym: it needs `gym`, `config` and `index`")
