"""Direct solutions of both tasks, step by step: what the skill `solve` writes."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import count
from typing import NamedTuple

from widthwise.evals.suites import arithmetic, countdown
from widthwise.evals.suites.holdout import held_out

TARGETS_PER_DRAW = 8  # enumerating what numbers reach serves several targets


class Expression(NamedTuple):
    """An arithmetic problem."""

    tree: arithmetic.Tree
    key: str
    question: str


class Game(NamedTuple):
    """A countdown problem."""

    numbers: tuple[int, ...]
    target: int
    key: str
    question: str


def expressions(rng: random.Random, levels: Sequence[int]) -> Iterator[Expression]:
    """Endless arithmetic problems that are not held out, all levels equally often."""
    yield from trainable(arithmetic.random_tree(rng, rng.choice(levels)) for _ in count())


def trainable(trees: Iterable[arithmetic.Tree]) -> Iterator[Expression]:
    """The problems that ask for the values of these expressions, without those held out."""
    for tree in trees:
        text = arithmetic.expression(tree)
        if not held_out(arithmetic.key(text)):
            yield Expression(tree, arithmetic.key(text), arithmetic.question(text))


def games(rng: random.Random, numbers: int = 4) -> Iterator[Game]:
    """Endless solvable countdown problems that are not held out."""
    while True:
        given = countdown.random_numbers(rng, numbers)
        for target in countdown.random_targets(rng, given, TARGETS_PER_DRAW):
            key = countdown.key(given, target)
            if not held_out(key):
                yield Game(given, target, key, countdown.question(given, target))


def distance(numbers: Sequence[int], target: int) -> int:
    """How far the numbers are from divisors of the target: 0 is most promising.

    The multiply heuristic of "Stream of Search" (Gandhi et al., arXiv 2404.03683).
    """
    return sum(min(abs(number - divisor) for divisor in divisors(target)) for number in numbers)


@lru_cache(maxsize=128)
def divisors(target: int) -> tuple[int, ...]:
    return tuple(d for d in range(2, target + 1) if target % d == 0)


def solving_moves(numbers: Sequence[int], target: int, rng: random.Random) -> list[countdown.Move]:
    """A random solution in which more promising moves are more likely, so that they can be learned."""
    found: list[countdown.Move] = []
    while len(numbers) > 1:
        moves = countdown.moves(numbers)
        options = [move for move in moves if target in countdown.reachable(tuple(sorted(move.rest)))]
        found += rng.choices(options, [(1 + distance(move.rest, target)) ** -3 for move in options])
        numbers = found[-1].rest
    return found


def arithmetic_solution(tree: arithmetic.Tree, result_of: arithmetic.ResultOf | None = None) -> str:
    """One operation per step with the expression left after it, then the boxed value; see `arithmetic.steps`."""
    if isinstance(tree, int):
        return f"\\boxed{{{tree}}}"
    *steps, (last, value) = arithmetic.steps(tree, result_of)
    written = [arithmetic_step(*each) for each in steps]
    return "\n\n".join([*written, str(last), f"\\boxed{{{value}}}"])


def arithmetic_step(step: arithmetic.Step, rest: arithmetic.Tree) -> str:
    """An operation that is not the last, with the expression left after it."""
    return f"{step}, left {arithmetic.expression(rest)}"


def countdown_solution(numbers: Sequence[int], moves: Sequence[countdown.Move]) -> str:
    """One operation per step with the numbers left after it, then the whole expression in a box."""
    steps = [f"{move}, left {' '.join(map(str, move.rest))}" for move in moves[:-1]]
    return "\n\n".join([*steps, str(moves[-1]), f"\\boxed{{{countdown.expression(numbers, moves)}}}"])
