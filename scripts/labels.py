"""Exact labels of solutions: is each step right, and can the problem still be solved after it?

Steps are separated by blank lines. A label is about the whole solution so far: after one wrong step every later one is
wrong too. A refinement (`refining.py`) also says what drafts state; that is read over.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from widthwise.evals.suites import countdown, quantity_steps
from widthwise.evals.suites.arithmetic import apply
from widthwise.evals.suites.quantity_steps import QuantityStep
from widthwise.evals.suites.quantity_system import Operation, QuantitySystem

_SAID = r"(?:: \d{1,6}(?: \d{1,6}){0,31})?"  # the results that drafts state
_OPERATION = re.compile(rf"(\d{{1,6}}) ([-+*/]) (\d{{1,6}}){_SAID} = (\d{{1,6}})(?:, left (.+))?")
_DONE = r"\d{1,6} [-+*/] \d{1,6} = \d{1,6}"
_CHECK = re.compile(rf"(?:none|{_DONE}(?:, {_DONE}){{0,9}}(?:, \d{{1,6}} to reach \d{{1,6}})?) [-+]")
_BOX = re.compile(r"\\boxed\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Task:
    """A problem as the checker needs it: countdown has numbers, quantities a question with definitions."""

    key: str
    question: str
    target: int
    numbers: tuple[int, ...] = ()

    @property
    def system(self) -> QuantitySystem | None:
        """The definitions of a problem of quantities."""
        return _system(self.question) if self.question.endswith("?") else None

    @property
    def name(self) -> str:
        """The task's name."""
        return "quantities" if self.system else "countdown" if self.numbers else "arithmetic"

    def right(self, answer: str) -> bool:
        """Whether an answer is right."""
        if self.numbers:
            return countdown.check(answer, self.numbers, self.target)
        return answer == str(self.target)


@lru_cache(maxsize=1024)
def _system(question: str) -> QuantitySystem:
    return QuantitySystem.read(question)


def steps_of(text: str) -> list[str]:
    """The steps of a solution."""
    return [step for step in text.removesuffix("</s>").split("\n\n") if step]


def is_check(step: str) -> bool:
    """Whether a step only says of drafts whether they are right."""
    return all(map(_CHECK.fullmatch, step.split("\n")))


def boxed(text: str) -> str | None:
    """The answer in the last box."""
    found = _BOX.findall(text)
    return found[-1] if found else None


def step_labels(task: Task, steps: Sequence[str]) -> list[bool]:
    """Whether the solution is still right after each step; of quantities, whether the step also serves it."""
    if task.system:
        return [label.useful and label.open for label in quantity_steps.step_labels(task.system, steps)]
    labels: list[bool] = []
    state = task.numbers
    for step in steps:
        good = labels[-1] if labels else True
        if good and step.startswith("\\boxed"):
            answer = boxed(step)
            good = answer is not None and task.right(answer)
        elif good and not is_check(step):
            following = _countdown_state(task, state, step) if task.numbers else _arithmetic_state(task, step)
            good = following is not None
            state = following or ()
        labels.append(good)
    return labels


def true_result(step: str) -> tuple[str, bool] | None:
    """A step's operation with its true result, and whether the step states it; None if it is not an operation."""
    match = _OPERATION.fullmatch(step)
    if match is None:
        return _true_quantity(step)
    value = countdown.value(f"{match[1]} {match[2]} {match[3]}")
    if value is None or value.denominator != 1:
        return None
    return f"{match[1]} {match[2]} {match[3]} = {value}", value == int(match[4])


def stated(step: str) -> tuple[str, str] | None:
    """A step's operation and the result that it states; None if it is not an operation."""
    match = _OPERATION.fullmatch(step)
    return None if match is None else (f"{match[1]} {match[2]} {match[3]}", match[4])


def _true_quantity(step: str) -> tuple[str, bool] | None:
    found = QuantityStep.read(step)
    if found is None:
        return None
    value = apply(found.op, found.left, found.right)
    return f"{step.rpartition(' = ')[0]} = {value}", value == found.value


def _arithmetic_state(task: Task, step: str) -> tuple[int, ...] | None:
    """() if the operation is right and what is left has the problem's value."""
    found, match = true_result(step), _OPERATION.fullmatch(step)
    if found is None or match is None or not found[1]:
        return None
    value = countdown.value(match[5] or match[4])
    return () if value == task.target else None


def _countdown_state(task: Task, numbers: Sequence[int], step: str) -> tuple[int, ...] | None:
    """The numbers left, if the step is right and the target can still be reached from them."""
    found, match = true_result(step), _OPERATION.fullmatch(step)
    if found is None or match is None or not found[1]:
        return None
    left, right, result = int(match[1]), int(match[3]), int(match[4])
    rest = Counter(numbers) - Counter([left, right])
    if Counter(numbers) - rest != Counter([left, right]):
        return None
    rest[result] += 1
    claimed = match[5] or match[4]
    state = tuple(sorted(rest.elements()))
    if sorted(claimed.split()) != sorted(map(str, state)) or result < 1 or result > countdown.LARGEST:
        return None
    return state if task.target in countdown.reachable(state) else None


def parts(text: str, share: float) -> str:
    """The first steps of a solution, about this share of them and at least one, verbatim."""
    steps = steps_of(text)
    return "\n\n".join(steps[: max(1, round(share * len(steps)))]) + "\n\n"


def beginnings(first: str, second: str, share: float) -> tuple[str, str]:
    """Two solutions, each cut to this share of the shorter one's characters."""
    length = max(1, round(share * min(len(first), len(second))))
    return first[:length], second[:length]


def true_quantities(system: QuantitySystem, steps: Sequence[str]) -> Iterator[str]:
    """The quantities of a solution worked out anew from right values, up to the first that it has another value for."""
    values = system.values()
    for found in map(QuantityStep.read, steps):
        definition = system.definitions.get(found.name) if found else None
        if found is None or not isinstance(definition, Operation):
            return
        left, right = definition.at(values)
        yield f"{found.name} = {left} {definition.op} {right} = {values[found.name]}"
        if found.value != values[found.name]:
            return


def right_operations(steps: Sequence[str]) -> Iterator[str]:
    """The operations of a solution with their true results, up to the first that is wrong."""
    for step in steps:
        if is_check(step):
            continue
        found = true_result(step)
        if found is None:
            return
        yield found[0]
        if not found[1]:
            return
