"""Steps of solutions of `quantities`: how they are read, and exact labels for each.

    B = G - 14 = 28 - 14 = 14        V: 15 + 7 = 22        B * V is 14 * 22, so A = 308        C = 15 + 7 = 22
    C is Z + 7, 15 + 7 = 22           C: Z + 7 is 15 + 7 = 22

with the operands of a sum or a product in either order, and before them a plan of what is needed, such as
`U: A - 2, A: B * V, B: 28 - 14, V: 15 + 7`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from widthwise.evals.suites.arithmetic import apply
from widthwise.evals.suites.quantity_system import MOST, Operation, QuantitySystem

_NAME = r"(?P<name>[A-Z]{1,2})"
_DEFINED = r"(?P<defined>[A-Z0-9]{1,3} [-+*] [A-Z0-9]{1,3})"
_WORKED = r"(?P<worked>\d{1,6} [-+*] \d{1,6})"
_VALUE = r"(?P<value>\d{1,6})"
_STEPS = tuple(
    re.compile(form)
    for form in (
        rf"{_NAME} = {_DEFINED} = {_WORKED} = {_VALUE}",
        rf"{_NAME}: {_WORKED} = {_VALUE}",
        rf"{_DEFINED} is {_WORKED}, so {_NAME} = {_VALUE}",
        rf"{_NAME} = {_WORKED} = {_VALUE}",
        rf"{_NAME} is {_DEFINED}, {_WORKED} = {_VALUE}",
        rf"{_NAME}: {_DEFINED} is {_WORKED} = {_VALUE}",
    )
)
_PLANNED = re.compile(r"([A-Z]{1,2}): ([A-Z0-9]{1,3} [-+*] [A-Z0-9]{1,3})")
_BOX = re.compile(r"\\boxed\{(\d{1,6})\}")


class QuantityStep(NamedTuple):
    """A quantity worked out: its value, the operation on numbers, and its definition if the step repeats it."""

    name: str
    value: int
    op: str
    left: int
    right: int
    defined: str | None

    @classmethod
    def read(cls, text: str) -> QuantityStep | None:
        """A step in any of the wordings; None for anything else."""
        found = next(filter(None, (form.fullmatch(text.strip()) for form in _STEPS)), None)
        if found is None:
            return None
        left, op, right = found["worked"].split(" ")
        return cls(found["name"], int(found["value"]), op, int(left), int(right), found.groupdict().get("defined"))

    def follows(self, system: QuantitySystem, known: Mapping[str, int]) -> bool:
        """Whether it follows from its quantity's definition and from what is known before it."""
        definition = system.definitions.get(self.name)
        if not isinstance(definition, Operation) or not known.keys() >= set(definition.names):
            return False
        if self.value != apply(self.op, self.left, self.right):
            return False
        return any(self._repeats(way, known) for way in ways(definition))

    def _repeats(self, definition: Operation, known: Mapping[str, int]) -> bool:
        worked = (self.op, (self.left, self.right)) == (definition.op, definition.at(known))
        return worked and self.defined in (None, str(definition))


class QuantityPlan(NamedTuple):
    """Quantities to work out, each with its definition, in which what is given is a number."""

    needs: Mapping[str, frozenset[Operation]]
    """Every way to write the definition: two for a sum or a product."""

    @classmethod
    def read(cls, text: str, between: str = ", ") -> QuantityPlan | None:
        """A plan such as ``U: A - 2, A: B * V, B: 28 - 14, V: 15 + 7``; None for anything else."""
        found = [_PLANNED.fullmatch(each) for each in text.strip().split(between, MOST)]
        try:
            needs = {each[1]: ways(Operation.read(each[2])) for each in found if each}
        except ValueError:  # an operand is neither a name nor a number
            return None
        return cls(needs) if len(needs) == len(found) else None

    @classmethod
    def of(cls, system: QuantitySystem) -> QuantityPlan:
        """What a system's target needs."""
        definitions = {name: system.definitions[name] for name in system.needed}
        return cls({n: ways(d.filled(system.given)) for n, d in definitions.items() if isinstance(d, Operation)})


def ways(definition: Operation) -> frozenset[Operation]:
    """The definition, and with its operands swapped if that changes nothing."""
    return frozenset([definition, definition.swapped] if definition.commutes else [definition])


class StepLabel(NamedTuple):
    """What is true of a step, whatever a model thinks of it.

    ``right``: the value that it states is the quantity's. ``useful``: it follows from what precedes it, including wrong
    values, and states something that is needed and was not stated yet. ``open``: the right answer still follows from
    everything stated so far, if everything after it is sound.
    """

    right: bool
    useful: bool
    open: bool


def step_labels(system: QuantitySystem, steps: Sequence[str]) -> list[StepLabel]:
    """The labels of a solution's steps, in order."""
    labels: list[StepLabel] = []
    stated: dict[str, int] = {}
    for text in steps:
        still_open = labels[-1].open if labels else True
        labels.append(_label(system, text, stated, still_open))
    return labels


def _label(system: QuantitySystem, text: str, stated: dict[str, int], still_open: bool) -> StepLabel:
    """The label of one step; what it states is added to ``stated``."""
    if box := _BOX.fullmatch(text.strip()):
        right = int(box[1]) == system.answer
        return StepLabel(right, stated.get(system.target) == int(box[1]), right)
    if plan := QuantityPlan.read(text):
        right = plan == QuantityPlan.of(system)
        return StepLabel(right, right and not stated, still_open)
    step = QuantityStep.read(text)
    if step is None or step.name not in system.definitions:
        return StepLabel(False, False, still_open)
    useful = step.name in system.needed - stated.keys() and step.follows(system, {**system.given, **stated})
    stated[step.name] = step.value
    still_open = system.values(stated)[system.target] == system.answer
    return StepLabel(step.value == system.values()[step.name], useful, still_open)
