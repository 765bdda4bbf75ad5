"""Countdown: reach a target from given numbers with + - * /, using every number exactly once.

Three parts: an exact solver over positive integers, a generator of solvable held-out problems, and a checker
that reads a proposed expression with an allow-list grammar in exact rationals (it never evaluates code).
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from widthwise.core.problem import Problem
from widthwise.evals.suites.holdout import held_out

LARGEST = 200
"""The largest intermediate value that the solver considers."""
DRAWS = 200  # attempts per problem before giving up; one in sixteen succeeds
NUMBERS = range(1, 31)
TARGETS = range(10, 101)


# --- Problems ---------------------------------------------------------------------------------------------------


def generate(n: int, seed: int, numbers: int = 4) -> list[Problem]:
    """Draw `n` different held-out problems of so many numbers; the same arguments give the same problems.

    The numbers are uniform in `NUMBERS`, the target is uniform among those of `TARGETS` that the solver reaches. The
    recorded answer is one solution; `check` accepts any. Raises ValueError if so many do not exist.
    """
    rng = random.Random(seed)
    problems: dict[str, Problem] = {}
    for _ in range(DRAWS * n):
        if len(problems) == n:
            break
        given = random_numbers(rng, numbers)
        for target in random_targets(rng, given, 1):
            name = key(given, target)
            if held_out(name) and name not in problems:
                answer = expression(given, solve(given, target, rng))
                metadata = {"numbers": list(given), "target": target, "level": numbers}
                identity = f"countdown-{seed}-{len(problems):04d}"
                problems[name] = Problem(identity, question(given, target), answer, metadata)
    if len(problems) < n:
        raise ValueError(f"there are not {n} different countdown problems of {numbers} numbers")
    return list(problems.values())


def random_numbers(rng: random.Random, count: int) -> tuple[int, ...]:
    """Draw the numbers of a problem."""
    return tuple(rng.choice(NUMBERS) for _ in range(count))


def random_targets(rng: random.Random, numbers: Sequence[int], count: int) -> list[int]:
    """Draw up to `count` different reachable targets (none if nothing in `TARGETS` is reachable)."""
    found = sorted(reachable(tuple(sorted(numbers))).intersection(TARGETS))
    return rng.sample(found, min(count, len(found)))


def question(numbers: Sequence[int], target: int) -> str:
    """The problem text."""
    return f"Use the numbers {', '.join(map(str, numbers))} to reach {target}."


def key(numbers: Sequence[int], target: int) -> str:
    """The canonical key of a problem, whatever the order of its numbers, for the held-out split."""
    return f"countdown {' '.join(map(str, sorted(numbers)))} -> {target}"


# --- Solver -----------------------------------------------------------------------------------------------------


class Move(NamedTuple):
    """One operation on two of the numbers at hand, and the numbers left after it (the result first)."""

    left: int
    op: str
    right: int
    result: int
    rest: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.left} {self.op} {self.right} = {self.result}"


def moves(numbers: Sequence[int]) -> Iterator[Move]:
    """Every operation possible on two of the numbers: larger operand first, result a positive integer."""
    for i in range(len(numbers)):
        for j in range(i + 1, len(numbers)):
            others = (*numbers[:i], *numbers[i + 1 : j], *numbers[j + 1 :])
            a, b = max(numbers[i], numbers[j]), min(numbers[i], numbers[j])
            for op, result in _results(a, b):
                yield Move(a, op, b, result, (result, *others))


def _results(a: int, b: int) -> Iterator[tuple[str, int]]:
    """The results for two numbers a >= b; a / 1 is left out, because it equals a * 1."""
    if a + b <= LARGEST:
        yield "+", a + b
    if a > b:
        yield "-", a - b
    if a * b <= LARGEST:
        yield "*", a * b
    if b > 1 and a % b == 0:
        yield "/", a // b


@lru_cache(maxsize=1 << 18)
def reachable(numbers: tuple[int, ...]) -> frozenset[int]:
    """Every value that all of the numbers (given in ascending order) together can make."""
    if len(numbers) == 1:
        return frozenset(numbers)
    following = {tuple(sorted(move.rest)) for move in moves(numbers)}
    return frozenset().union(*map(reachable, following))


def solve(numbers: Sequence[int], target: int, rng: random.Random) -> list[Move]:
    """A random solution: each move is drawn uniformly from those after which the target can still be reached.

    Raises ValueError if the target cannot be reached.
    """
    solution: list[Move] = []
    while len(numbers) > 1:
        good = [move for move in moves(numbers) if target in reachable(tuple(sorted(move.rest)))]
        if not good:
            raise ValueError(f"{target} cannot be reached from {list(numbers)}")
        solution.append(rng.choice(good))
        numbers = solution[-1].rest
    return solution


def expression(numbers: Sequence[int], solution: Sequence[Move]) -> str:
    """Write a solution as one expression, with every inner operation in parentheses."""
    written: dict[int, list[str]] = {}
    for number in numbers:
        written.setdefault(number, []).append(str(number))
    for move in solution:
        left, right = written[move.left].pop(), written[move.right].pop()
        written.setdefault(move.result, []).append(f"({left} {move.op} {right})")
    return written[solution[-1].result][-1][1:-1]


# --- Checker ----------------------------------------------------------------------------------------------------

Tree: TypeAlias = "int | tuple[str, Tree, Tree]"

MAX_LENGTH = 400
MAX_DEPTH = 24
_SPELLINGS = {"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "\\times": "*", "\\cdot": "*", "\\div": "/",
              "\\left": "", "\\right": "", "\\dfrac": "\\frac", "\\tfrac": "\\frac"}  # fmt: skip
_SPELLING = re.compile("|".join(f"{re.escape(word)}(?![a-z])" for word in _SPELLINGS))
_TOKEN = re.compile(r"\s*([0-9]{1,6}(?![0-9])|\\frac(?![a-zA-Z])|[-+*/(){}=])")


def check(expr: str, numbers: Sequence[int], target: int) -> bool:
    """Whether the expression equals the target and uses exactly the given numbers, each once."""
    tree = _parse(expr)
    return tree is not None and Counter(_leaves(tree)) == Counter(numbers) and _value(tree) == target


def value(expr: str) -> Fraction | None:
    """The exact value of an expression; None if it is not one, divides by zero, or claims a wrong `= value`."""
    tree = _parse(expr)
    return None if tree is None else _value(tree)


def canonical(expr: str) -> str | None:
    """A form that is the same for expressions that differ only in order and grouping; None without a value.

    `3 * (12 - 7) + 20` and `20 + ((12 - 7) * 3)` are one answer when votes are counted.
    """
    tree = _parse(expr)
    return None if tree is None or _value(tree) is None else _canonical(tree)


def _parse(expr: str) -> Tree | None:
    """Read `expression` or `expression = value`; None for anything else."""
    if len(expr) > MAX_LENGTH:
        return None
    try:
        reader = _ExpressionParser(_SPELLING.sub(lambda match: _SPELLINGS[match[0]], expr))
        tree = reader.sum()
        if reader.take("="):
            claimed = _value(reader.sum())
            if claimed is None or claimed != _value(tree):
                return None
        return tree if reader.done else None
    except ValueError:
        return None


class _ExpressionParser:
    """Recursive descent over + - * / ( ) \\frac and unsigned integers; ValueError for everything else."""

    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        self.depth = 0
        text, position = text.strip(), 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise ValueError(f"unexpected text at {position}")
            self.tokens.append(match[1])
            position = match.end()
        self.tokens.reverse()

    @property
    def done(self) -> bool:
        return not self.tokens

    def take(self, *wanted: str) -> str | None:
        """Consume and return the next token if it is one of these."""
        return self.tokens.pop() if self.tokens and self.tokens[-1] in wanted else None

    def expect(self, wanted: str) -> None:
        if self.take(wanted) is None:
            raise ValueError(f"{wanted!r} expected")

    def sum(self) -> Tree:
        tree = self.product()
        while op := self.take("+", "-"):
            tree = (op, tree, self.product())
        return tree

    def product(self) -> Tree:
        tree = self.atom()
        while op := self.take("*", "/"):
            tree = (op, tree, self.atom())
        return tree

    def atom(self) -> Tree:
        if self.take("("):
            return self.inside(")")
        if self.take("\\frac"):
            self.expect("{")
            above = self.inside("}")
            self.expect("{")
            return ("/", above, self.inside("}"))
        if not self.tokens or not self.tokens[-1].isdecimal():
            raise ValueError("number expected")
        return int(self.tokens.pop())

    def inside(self, closing: str) -> Tree:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ValueError("nested too deeply")
        tree = self.sum()
        self.expect(closing)
        self.depth -= 1
        return tree


def _leaves(tree: Tree) -> Iterator[int]:
    if isinstance(tree, int):
        yield tree
    else:
        yield from _leaves(tree[1])
        yield from _leaves(tree[2])


def _value(tree: Tree) -> Fraction | None:
    if isinstance(tree, int):
        return Fraction(tree)
    op, left, right = tree[0], _value(tree[1]), _value(tree[2])
    if left is None or right is None or (op == "/" and right == 0):
        return None
    if op == "+":
        return left + right
    if op == "-":
        return left - right
    return left * right if op == "*" else left / right


def _canonical(tree: Tree) -> str:
    if isinstance(tree, int):
        return str(tree)
    forward, backward = ("+", "-") if tree[0] in "+-" else ("*", "/")
    plain, inverse = _operands(tree, forward, backward)
    return forward.join(plain) + "".join(backward + text for text in inverse)


def _operands(tree: Tree, forward: str, backward: str) -> tuple[list[str], list[str]]:
    """The sorted operands of a chain of one strength, plain and inverted (subtracted or divided by)."""
    if isinstance(tree, int):
        return [str(tree)], []
    op, left, right = tree
    if op not in (forward, backward):
        return [f"({_canonical(tree)})"], []
    plain, inverse = _operands(left, forward, backward)
    second = _operands(right, forward, backward)
    more, fewer = second if op == forward else second[::-1]
    return sorted(plain + more), sorted(inverse + fewer)
