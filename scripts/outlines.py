"""Outlines: different first moves or sub-goals of a problem, and solutions that begin as an outline says."""

from __future__ import annotations

import random
from collections.abc import Iterator

from documents import Document, document
from searches import line
from solutions import Expression, Game, arithmetic_solution, countdown_solution, solving_moves

from widthwise.evals.suites import arithmetic, countdown

MOST = 6  # outlines asked for


def countdown_outlines(game: Game, rng: random.Random) -> Iterator[Document]:
    """Different first moves that keep the target reachable (filled up with others), and a solution from one."""
    options = {str(move): move for move in countdown.moves(game.numbers)}
    good = [m for m in options.values() if game.target in countdown.reachable(tuple(sorted(m.rest)))]
    rng.shuffle(good)
    others = [move for move in options.values() if move not in good]
    rng.shuffle(others)
    wanted = [line(move) for move in (good + others)[: rng.randint(2, MOST)]]
    yield proposals(game.key, game.question, wanted)
    first = good[0]
    moves = [first, *solving_moves(first.rest, game.target, rng)]
    yield under(game.key, game.question, line(first), countdown_solution(game.numbers, moves))


def arithmetic_outlines(problem: Expression, rng: random.Random) -> Iterator[Document]:
    """Different operations to begin with, and a solution that begins with one of them."""
    options = {arithmetic.expression(part): part for part in ready(problem.tree)}
    wanted = rng.sample(sorted(options), min(len(options), rng.randint(2, MOST)))
    yield proposals(problem.key, problem.question, wanted)
    part = options[wanted[0]]
    step, _ = arithmetic.steps(part)[0]
    rest = with_value(problem.tree, part)
    begun = f"{step}, left {arithmetic.expression(rest)}\n\n" if not isinstance(rest, int) else f"{step}\n\n"
    yield under(problem.key, problem.question, wanted[0], begun + arithmetic_solution(rest))


def ready(tree: arithmetic.Tree) -> list[arithmetic.Tree]:
    """The operations whose operands are already numbers."""
    if isinstance(tree, int):
        return []
    return (ready(tree[1]) + ready(tree[2])) or [tree]


def with_value(tree: arithmetic.Tree, part: arithmetic.Tree) -> arithmetic.Tree:
    """The expression with one part carried out."""
    if tree is part:
        return arithmetic.value(part)
    return tree if isinstance(tree, int) else (tree[0], with_value(tree[1], part), with_value(tree[2], part))


def proposals(key: str, question: str, wanted: list[str]) -> Document:
    """So many outlines, numbered."""
    lines = [f"<Outline>{n}: {text}</Outline>" for n, text in enumerate(wanted, 1)]
    return document(key, "outline", f"{question}<Outlines>{len(wanted)}", "\n".join(lines))


def under(key: str, question: str, outline: str, solution: str) -> Document:
    """A solution under a given outline."""
    return document(key, "outline", f"{question}<Outline>{outline}", solution)
