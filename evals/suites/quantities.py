"""Quantities: work out one of many quantities that are defined by one another, in any order; some are not needed.

A problem's level is the number of operations that its answer needs. Problems are drawn only from the held-out part of
the space.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from string import ascii_uppercase

from widthwise.core.problem import Problem
from widthwise.evals.suites.arithmetic import apply
from widthwise.evals.suites.holdout import held_out
from widthwise.evals.suites.quantity_system import LARGEST, Definition, Operand, Operation, QuantitySystem

LEVELS = (2, 16)
DRAWS = 200  # attempts per problem before giving up; one in sixteen succeeds
NUMBER_SIZES = (9, 20, 50, 99, 300)
FORKS = (0.1, 0.4, 0.8)
"""How often both operands of a quantity have to be worked out, per problem: from chains to wide graphs."""
LITERALS, SHARED = 0.35, 0.15
"""How often an operand that needs no work is a literal number, and how often it is an existing quantity."""
HARD = 8
"""How often a product of two numbers of two digits counts among what can be done; a sum counts once."""
FRESH = 0.4  # how often a distractor begins with a quantity of its own
SINGLES = 22  # how many quantities get one-letter names in problems that have more
PAIRED, PAIRS = 0.2, 0.3  # how often smaller problems have two-letter names, and how many of them


def generate(n: int, seed: int, levels: tuple[int, int] = LEVELS, *, wide: bool = False) -> list[Problem]:
    """Draw `n` different held-out problems, cycling through the levels from the first to the last.

    In ``wide`` problems both operands of a quantity take about equally much work, so that few operations have to follow
    one another. The same arguments give the same problems. Raises ValueError if so many do not exist.
    """
    rng = random.Random(seed)
    problems: dict[str, Problem] = {}
    for _ in range(DRAWS * n):
        if len(problems) == n:
            break
        level = levels[0] + len(problems) % (levels[1] - levels[0] + 1)
        system = random_system(rng, level, wide=wide)
        if held_out(system.key) and system.key not in problems:
            problems[system.key] = _problem(f"quantities-{seed}-{len(problems):04d}", system)
    if len(problems) < n:
        raise ValueError(f"there are not {n} different problems of levels {levels[0]} to {levels[1]}")
    return list(problems.values())


def _problem(identity: str, system: QuantitySystem) -> Problem:
    facts = {"level": len(system.needed), "depth": system.depths[system.target]}
    return Problem(identity, str(system), str(system.answer), facts)


def random_system(rng: random.Random, operations: int, *, wide: bool = False) -> QuantitySystem:
    """Draw a system whose target needs this number of operations, at least one."""
    growth = _Growth(rng, None if wide else rng.choice(FORKS))
    target = str(growth.grow(operations))
    for _ in range(rng.randint(0, 2 + operations // 4)):
        growth.distract()
    names = dict(zip(growth.definitions, _names(rng, len(growth.definitions)), strict=True))
    renamed = [(names[name], _renamed(each, names)) for name, each in growth.definitions.items()]
    rng.shuffle(renamed)
    return QuantitySystem(dict(renamed), names[target])


class _Growth:
    """A system under construction, from the leaves up; its quantities are numbered. ``forks`` None balances it."""

    def __init__(self, rng: random.Random, forks: float | None) -> None:
        self.rng, self.forks = rng, forks
        self.definitions: dict[str, Definition] = {}
        self.values: dict[str, int] = {}

    def grow(self, operations: int) -> Operand:
        """Something that needs so many operations: a quantity, or, with no operations, perhaps a number."""
        if operations == 0:
            return self.leaf()
        rest = operations - 1
        second = rest // 2 if self.forks is None else self.second(rest, self.forks)
        return self.join(self.grow(rest - second), self.grow(second))

    def second(self, rest: int, forks: float) -> int:
        """How many of the operations below a quantity its second operand takes."""
        return self.rng.randint(1, rest - 1) if rest > 1 and self.rng.random() < forks else 0

    def distract(self) -> None:
        """Define a quantity that is not needed."""
        begun = self.new(self.number()) if self.rng.random() < FRESH else self.rng.choice([*self.definitions])
        self.join(begun, self.leaf())

    def leaf(self) -> Operand:
        chance = self.rng.random()
        if chance < LITERALS:
            return self.number()
        if chance < LITERALS + SHARED and self.definitions:
            return self.rng.choice(self.known())
        return self.new(self.number())

    def known(self) -> list[str]:
        """Quantities that may be used once more: all, but only given ones where that could make a problem deeper."""
        balanced = self.forks is None
        found = [name for name, each in self.definitions.items() if not balanced or isinstance(each, int)]
        return found or [*self.definitions]

    def number(self) -> int:
        return self.rng.randint(2, self.rng.choice(NUMBER_SIZES))

    def new(self, definition: Definition) -> str:
        name = str(len(self.definitions))
        self.definitions[name] = definition
        known = definition if isinstance(definition, int) else apply(definition.op, *definition.at(self.values))
        self.values[name] = known
        return name

    def join(self, left: Operand, right: Operand) -> str:
        """A quantity defined by these two, at least one of which is a quantity, and not the same twice."""
        if (isinstance(left, int) and isinstance(right, int)) or left == right:
            right = self.new(self.number())
        if self.rng.random() < 0.5:
            left, right = right, left
        return self.new(self.rng.choice(self._combinations(left, right)))

    def _combinations(self, left: Operand, right: Operand) -> list[Operation]:
        """The operations that stay within the allowed values; products that fit count more, since few do."""
        a, b = Operation("+", left, right).at(self.values)
        found = [Operation("-", left, right) if a >= b else Operation("-", right, left)]
        if a + b <= LARGEST:
            found.append(Operation("+", left, right))
        if min(a, b) > 1 and a * b <= LARGEST:
            found += [Operation("*", left, right)] * (HARD if min(a, b) > 10 else 2)
        return found


def _renamed(definition: Definition, names: Mapping[str, str]) -> Definition:
    if isinstance(definition, int):
        return definition
    left, right = (names[each] if isinstance(each, str) else each for each in (definition.left, definition.right))
    return Operation(definition.op, left, right)


def _names(rng: random.Random, count: int) -> list[str]:
    """So many different names of one or two capital letters."""
    pairs = max(count - SINGLES, round(PAIRS * count) if rng.random() < PAIRED else 0)
    letters = rng.sample(ascii_uppercase, count - pairs)
    twos = rng.sample([first + second for first in ascii_uppercase for second in ascii_uppercase], pairs)
    return rng.sample(letters + twos, count)
