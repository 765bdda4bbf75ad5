"""Arithmetic: evaluate an expression of several operations, with every value an integer from 0 to 999.

A problem's level is its number of operations. Problems are drawn only from the held-out part of the space.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from widthwise.core.problem import Problem
from widthwise.evals.suites.holdout import held_out

LARGEST = 999
LEVELS = (2, 3, 4, 5, 6, 7, 8, 9, 10)
DRAWS = 200  # attempts per problem before giving up; one in sixteen succeeds
LEAF_SIZES = (9, 20, 50, 99, 300)
HARD = 0.9
"""Share of the innermost operations that are hard: two numbers of two digits multiplied, or such a product divided."""
QUOTIENTS = 0.3
"""Share of the hard operations that divide, which small models get wrong far more often."""

Tree: TypeAlias = "int | tuple[str, Tree, Tree]"
ResultOf: TypeAlias = Callable[[str, int, int], int]
_STRENGTH = {"+": 1, "-": 1, "*": 2, "/": 2}


class Step(NamedTuple):
    """One operation carried out: `left op right = result`."""

    left: int
    op: str
    right: int
    result: int

    def __str__(self) -> str:
        return f"{self.left} {self.op} {self.right} = {self.result}"


def generate(n: int, seed: int, levels: Sequence[int] = LEVELS) -> list[Problem]:
    """Draw `n` different held-out problems, cycling through the levels; the same arguments give the same problems.

    Raises ValueError if so many do not exist (there are about a thousand of level 1).
    """
    rng = random.Random(seed)
    problems: dict[str, Problem] = {}
    for _ in range(DRAWS * n):
        if len(problems) == n:
            break
        level = levels[len(problems) % len(levels)]
        tree = random_tree(rng, level)
        text = expression(tree)
        if held_out(key(text)) and text not in problems:
            name = f"arithmetic-{seed}-{len(problems):04d}"
            problems[text] = Problem(name, question(text), str(value(tree)), {"level": level})
    if len(problems) < n:
        raise ValueError(f"there are not {n} different arithmetic problems of levels {tuple(levels)}")
    return list(problems.values())


def question(text: str) -> str:
    """The problem text that asks for the value of an expression."""
    return f"Compute {text}."


def key(text: str) -> str:
    """The canonical key of an expression, for the held-out split."""
    return f"arithmetic {text}"


def random_tree(rng: random.Random, operations: int) -> Tree:
    """Draw an expression with this number of operations."""
    if operations == 0:
        return rng.randint(1, rng.choice(LEAF_SIZES))
    if operations == 1 and rng.random() < HARD:
        factor = rng.randint(11, LARGEST // 11)
        other = rng.randint(11, LARGEST // factor)
        return ("/", factor * other, other) if rng.random() < QUOTIENTS else ("*", factor, other)
    before = rng.randrange(operations)
    left = random_tree(rng, before)
    right = random_tree(rng, operations - 1 - before)
    return rng.choice(_combinations(left, right))


def _combinations(left: Tree, right: Tree) -> list[Tree]:
    """The ways to join two expressions that stay within the allowed values; each operation counts once.

    Products are hard, so one that fits counts twice; exact divisions are rare by chance and count three times.
    """
    a, b = value(left), value(right)
    found: list[Tree] = []
    if a + b <= LARGEST:
        found.append(("+", left, right))
    if a * b <= LARGEST:
        found += [("*", left, right)] * 2
    if a < b:
        left, right, a, b = right, left, b, a
    found.append(("-", left, right))
    if b > 1 and a % b == 0:
        found += [("/", left, right)] * 3
    return found


def operations(tree: Tree) -> int:
    """How many operations an expression has."""
    return 0 if isinstance(tree, int) else 1 + operations(tree[1]) + operations(tree[2])


def value(tree: Tree) -> int:
    """The value of an expression (divisions are exact by construction)."""
    return tree if isinstance(tree, int) else apply(tree[0], value(tree[1]), value(tree[2]))


def steps(tree: Tree, result_of: ResultOf | None = None) -> list[tuple[Step, Tree]]:
    """The operations in the order of evaluation, innermost and leftmost first, each with what is left after it.

    ``result_of`` a sign and two numbers replaces the right result, for solutions with mistakes.
    """
    found: list[tuple[Step, Tree]] = []
    while not isinstance(tree, int):
        step, tree = _reduce(tree, result_of or apply)
        found.append((step, tree))
    return found


def apply(op: str, a: int, b: int) -> int:
    """The result of one operation."""
    if op == "+":
        return a + b
    if op == "-":
        return a - b
    return a * b if op == "*" else a // b


def _reduce(tree: tuple[str, Tree, Tree], result_of: ResultOf) -> tuple[Step, Tree]:
    """Carry out one operation."""
    op, left, right = tree
    if not isinstance(left, int):
        step, left = _reduce(left, result_of)
        return step, (op, left, right)
    if not isinstance(right, int):
        step, right = _reduce(right, result_of)
        return step, (op, left, right)
    result = result_of(op, left, right)
    return Step(left, op, right, result), result


def expression(tree: Tree) -> str:
    """Write an expression with only the parentheses that the usual precedence needs."""
    if isinstance(tree, int):
        return str(tree)
    op, left, right = tree
    return f"{_operand(left, _STRENGTH[op])} {op} {_operand(right, _STRENGTH[op] + 1)}"


def _operand(tree: Tree, strength: int) -> str:
    text = expression(tree)
    return text if isinstance(tree, int) or _STRENGTH[tree[0]] >= strength else f"({text})"
