"""Quantities that are defined by one another, with a question for one of them.

F = D + G; U = A - Y; D = 19; A = B * V; V = Z + 7; G = 28; B = G - 14; Z = 15; Y = 2. U?
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeAlias

from widthwise.evals.suites.arithmetic import apply

LARGEST = 999
MOST = 64
"""The most definitions that a system read from a text may have."""
MODULUS = 2**61 - 1
"""Values are counted modulo this prime, so that no value that a model states gets long."""

Operand: TypeAlias = str | int
"""A quantity's name, or a number."""

_NAME = r"[A-Z]{1,2}"
_OPERAND = rf"(?:{_NAME}|\d{{1,3}})"
_OPERATION = re.compile(rf"({_OPERAND}) ([-+*]) ({_OPERAND})")
_DEFINITION = re.compile(rf"({_NAME}) = (?:(\d{{1,3}})|({_OPERAND} [-+*] {_OPERAND}))")
_QUESTION = re.compile(rf"([^.?]+)\. ({_NAME})\?")


class Operation(NamedTuple):
    """The definition of a quantity that is not a given number."""

    op: str
    left: Operand
    right: Operand

    def __str__(self) -> str:
        return f"{self.left} {self.op} {self.right}"

    @property
    def names(self) -> list[str]:
        """The quantities that it takes."""
        return [operand for operand in (self.left, self.right) if isinstance(operand, str)]

    @property
    def commutes(self) -> bool:
        return self.op != "-"

    @property
    def swapped(self) -> Operation:
        """The same operation with its operands in the other order."""
        return self._replace(left=self.right, right=self.left)

    def filled(self, known: Mapping[str, int]) -> Operation:
        """The same operation with numbers in place of the quantities that are known."""
        left, right = (known.get(each, each) if isinstance(each, str) else each for each in (self.left, self.right))
        return self._replace(left=left, right=right)

    def at(self, values: Mapping[str, int]) -> tuple[int, int]:
        """Its two operands as numbers; KeyError if a quantity has no value."""
        left, right = (values[each] if isinstance(each, str) else each for each in (self.left, self.right))
        return left, right

    @classmethod
    def read(cls, text: str) -> Operation:
        """``G - 14``; ValueError for anything else."""
        found = _OPERATION.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not an operation")
        left, right = (int(each) if each.isdecimal() else each for each in (found[1], found[3]))
        return cls(found[2], left, right)


Definition: TypeAlias = Operation | int


@dataclass(frozen=True)
class QuantitySystem:
    """Definitions in the order of the question, and the quantity asked for.

    Raises ValueError if a name is not defined or a quantity depends on itself.
    """

    definitions: Mapping[str, Definition]
    target: str
    order: tuple[str, ...] = field(init=False, compare=False)
    """All names, each after those that it depends on."""

    def __post_init__(self) -> None:
        order: dict[str, bool] = {}
        for name in (*self.definitions, self.target):
            self._place(name, order)
        object.__setattr__(self, "order", tuple(order))

    def _place(self, name: str, order: dict[str, bool], above: tuple[str, ...] = ()) -> None:
        if name in above or name not in self.definitions:
            raise ValueError(f"{name} {'depends on itself' if name in above else 'is not defined'}")
        if name not in order:
            for operand in self.operands(name):
                self._place(operand, order, (*above, name))
            order[name] = True

    @classmethod
    def read(cls, question: str) -> QuantitySystem:
        """The system of a problem's text; ValueError for any other text, and for a value outside 0-999."""
        found = _QUESTION.fullmatch(question)
        lines = found[1].split("; ", MOST) if found else []
        read = [_DEFINITION.fullmatch(line) for line in lines[:MOST]]
        definitions = {each[1]: int(each[2]) if each[2] else Operation.read(each[3]) for each in read if each}
        if found is None or len(definitions) < len(lines):
            raise ValueError("these are not definitions of quantities with a question for one of them")
        system = cls(definitions, found[2])
        if max(system.values().values()) > LARGEST:
            raise ValueError(f"a quantity has a value outside 0-{LARGEST}")
        return system

    def __str__(self) -> str:
        return f"{'; '.join(f'{name} = {each}' for name, each in self.definitions.items())}. {self.target}?"

    def operands(self, name: str) -> list[str]:
        """The quantities by which one is defined."""
        definition = self.definitions[name]
        return definition.names if isinstance(definition, Operation) else []

    def values(self, stated: Mapping[str, int] | None = None) -> dict[str, int]:
        """The value of every quantity; values that are ``stated`` replace their definitions."""
        values: dict[str, int] = {}
        for name in self.order:
            definition = self.definitions[name]
            if stated and name in stated:
                values[name] = stated[name]
            elif isinstance(definition, int):
                values[name] = definition
            else:
                values[name] = apply(definition.op, *definition.at(values)) % MODULUS
        return values

    @property
    def answer(self) -> int:
        return self.values()[self.target]

    @cached_property
    def given(self) -> dict[str, int]:
        """The quantities that are defined by a number."""
        return {name: each for name, each in self.definitions.items() if isinstance(each, int)}

    @cached_property
    def needed(self) -> frozenset[str]:
        """The quantities that have to be worked out: the target and what it depends on, without those given."""
        found = {self.target}
        for name in reversed(self.order):
            if name in found:
                found.update(self.operands(name))
        return frozenset(found - self.given.keys())

    @cached_property
    def depths(self) -> dict[str, int]:
        """For every quantity, how many operations follow one another up to its value."""
        depths: dict[str, int] = {}
        for name in self.order:
            below = [depths[operand] for operand in self.operands(name)]
            depths[name] = 0 if name in self.given else 1 + max(below)
        return depths

    @property
    def key(self) -> str:
        """The canonical key for the held-out split: what is to be worked out, whatever the names, order and extras."""
        marks: dict[str, str] = {}
        for name in self.order:
            marks[name] = _mark(self.definitions[name], marks)
        return f"quantities {marks[self.target]}"


def _mark(definition: Definition, marks: Mapping[str, str]) -> str:
    """A number itself; an operation as a digest of its sign and of its operands' marks, sorted if they commute."""
    if isinstance(definition, int):
        return str(definition)
    below = [marks[each] if isinstance(each, str) else str(each) for each in (definition.left, definition.right)]
    operands = sorted(below) if definition.commutes else below
    return hashlib.sha256(f"{definition.op} {' '.join(operands)}".encode()).hexdigest()[:16]
