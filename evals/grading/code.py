"""The grader of programs: it runs them against unit tests, in a process that can only compute."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from widthwise.core.problem import Partition, Problem
from widthwise.core.prompting.saying import AnswerInThinking
from widthwise.core.sandbox.sandbox import Execution, Limits, Tests, execute, require_walls
from widthwise.evals.grading.equality import Verdict
from widthwise.evals.grading.extraction import check_thinking, parts
from widthwise.evals.grading.policy_grader import TunableGrader
from widthwise.evals.grading.program_reading import MAX_PROGRAM_CHARS, normal_form, program_in, tree_of
from widthwise.evals.grading.unit_tests import CodeTask, NotRunnable

_CHARS_A_SECOND = 150_000
"""One second of processor time is added per so many characters of tests: reading them is not the program's fault."""
_OUTPUT_CHARS = 200_000


@dataclass(frozen=True)
class CodeGrader(TunableGrader):
    """Runs programs against a problem's unit tests; see :class:`~widthwise.evals.grading.unit_tests.CodeTask`.

    ``seconds`` of processor time and ``megabytes`` are what one program with its tests may take. Votes go by behaviour:
    programs that return the same for the calls shown in the prompt vote together. If it shows none, or a program does
    not run, votes go by the program itself, ignoring layout, comments and docstrings.
    """

    name: str = "code"
    seconds: float = 10.0
    megabytes: int = 1024
    thinking: AnswerInThinking = "never"
    task: CodeTask | None = None
    seen: dict[tuple[CodeTask, str], Verdict] = field(default_factory=dict, compare=False, repr=False)
    fixed: ClassVar[tuple[str, ...]] = ("name", "task", "seen")
    what: ClassVar[str] = "runs programs against unit tests, in a sandbox"

    def __post_init__(self) -> None:
        check_thinking(self.thinking)

    def for_problem(self, problem: Problem) -> Self:
        """Reads programs that define what the problem asks for, and knows its examples."""
        return replace(self, task=CodeTask.of(problem), seen={})

    def extract(self, text: str) -> str | None:
        entry, starter = (self.task.entry, self.task.starter) if self.task else (None, "")
        found = (program_in(part, entry, starter) for part in parts(text, self.thinking))
        return next(filter(None, found), None)

    async def partition(self, answers: Sequence[str]) -> Partition:
        """Classes of programs that behave the same; without a problem, of programs that are written the same."""
        async with asyncio.TaskGroup() as group:
            forms = [group.create_task(self._form(answer)) for answer in answers]
        return Partition.of(form.result() for form in forms)

    async def correct(self, problem: Problem, answer: str) -> bool:
        """Raises UsageError for a problem that is not a code task, and if no program can be run."""
        return (await self.verdict(problem, answer)).outcome == "same"

    async def verdict(self, problem: Problem, answer: str) -> Verdict:
        """Like ``correct``, with the reason why the program failed or was not run."""
        task = CodeTask.of(problem)
        if (task, answer) not in self.seen:
            self.seen[task, answer] = await self._judged(task, answer)
        return self.seen[task, answer]

    async def _judged(self, task: CodeTask, program: str) -> Verdict:
        try:
            execution = await self._run(task, program, task.unit_tests)
        except NotRunnable as error:
            return Verdict("not decided", f"not runnable here: {error}")
        if execution.refusal is None:
            return Verdict("same", "it passes the unit tests")
        if execution.ending == "raised" or tree_of(program) is None:
            return Verdict("different", execution.refusal)
        ended = "not runnable here" if execution.ending == "refused" else "not run to its end"
        return Verdict("not decided", f"{ended}: {execution.refusal}")

    def remark(self, problem: Problem, answer: str) -> str | None:
        verdict = self.seen.get((CodeTask.of(problem), answer))
        if verdict is None or verdict.outcome != "not decided":
            return None
        return f"a program that counts as wrong was {verdict.rule}"

    async def valid(self, problem: Problem, answer: str) -> bool:
        """Whether a program passes the examples that the prompt shows."""
        task = CodeTask.of(problem)
        return (await self._run(task, answer, task.shown_tests)).refusal is None

    async def _form(self, program: str) -> str:
        tests = self.task.behaviour_tests if self.task else None
        if self.task is None or tests is None:
            return normal_form(program)
        execution = await self._run(self.task, program, tests)
        return execution.output if execution.refusal is None else f"{execution.ending}\n{normal_form(program)}"

    async def _run(self, task: CodeTask, program: str, tests: Tests) -> Execution:
        require_walls()
        limits = Limits(
            cpu_seconds=self.seconds + len(tests.text) / _CHARS_A_SECOND,
            wall_seconds=9 * (self.seconds + len(tests.text) / _CHARS_A_SECOND),
            memory_bytes=self.megabytes << 20,
            output_chars=_OUTPUT_CHARS,
            program_chars=MAX_PROGRAM_CHARS + len(task.preamble) + 1,
        )
        return await execute(task.whole(program), limits, tests)
