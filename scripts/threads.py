"""Spawn/join traces: a parent outlines branches, threads work on one each, the parent continues from their conclusions.

The tags are ThreadWeaver's (arXiv 2512.07843), with one difference that keeps the joined context short, as in "Adaptive
Parallel Reasoning" (arXiv 2504.15466): only a thread's conclusion returns.

    <Parallel>
    <Outlines>
    <Outline>1: 12 - 7 = 5, left 5 3 20</Outline>
    </Outlines>
    <Thread>
    1:                                        <- a thread's prompt ends here
    12 - 7 = 5, left 5 3 20                   <- it says again what its outline is, then searches
    5 + 3 = 8, left 8 20: 28 12 160
    5 * 3 = 15, left 15 20: 35
    <Conclusion>12 - 7 = 5, left 5 3 20
    5 * 3 = 15, left 15 20
    20 + 15 = 35</Conclusion>
    </Thread>
    </Parallel>                               <- the parent goes on here, with the solution
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from documents import END, Document, turn
from searches import branches, depth_first, line, written
from solutions import Expression, Game, arithmetic_solution, countdown_solution, solving_moves

from widthwise.evals.suites import arithmetic, countdown

WIDTHS = (2, 4, 6, 8, 8, 8, 10, 12, 12, 12)  # the parent of twelve has up to 770 tokens
NONE = "none"
SMALLEST, LARGEST = 1, 4  # operations of an expression that is worth a thread


class Thread(NamedTuple):
    """What one thread is told, what it writes, and which part of that returns."""

    outline: str
    work: str
    conclusion: str


def countdown_threads(game: Game, width: int, rng: random.Random) -> Iterator[Document]:
    """A parent that tries the most promising first moves at once, and three of its threads."""
    found: list[tuple[countdown.Move, ...]] = []
    threads = []
    for move in branches(game.numbers, game.target, width):
        paths = list(depth_first(move.rest, game.target, len(move.rest) ** 4))
        solved = paths[-1][-1].rest == (game.target,)
        if solved:
            found.append((move, *paths[-1]))
        conclusion = "\n".join(map(line, (move, *paths[-1]))) if solved else NONE
        threads.append(Thread(line(move), f"{line(move)}\n{written(paths)}", conclusion))
    moves = list(found[0]) if found else solving_moves(game.numbers, game.target, rng)
    yield from family(game.key, f"{game.question}<spawn>{width}", threads, countdown_solution(game.numbers, moves), rng)


def arithmetic_threads(problem: Expression, width: int, rng: random.Random) -> Iterator[Document]:
    """A parent that has independent parts of an expression computed at once, and three of its threads."""
    parts = independent(problem.tree)[:width]
    if len(parts) < 2:
        return
    threads = [Thread(arithmetic.expression(part), work(part), str(arithmetic.value(part))) for part in parts]
    rest = replaced(problem.tree, parts)
    solution = f"left {arithmetic.expression(rest)}\n\n{arithmetic_solution(rest)}"
    yield from family(problem.key, f"{problem.question}<spawn>{width}", threads, solution, rng)


def independent(tree: arithmetic.Tree) -> list[arithmetic.Tree]:
    """The largest parts of an expression that are small enough for a thread, from left to right."""
    if isinstance(tree, int):
        return []
    if SMALLEST <= arithmetic.operations(tree) <= LARGEST:
        return [tree]
    return independent(tree[1]) + independent(tree[2])


def replaced(tree: arithmetic.Tree, parts: Sequence[arithmetic.Tree]) -> arithmetic.Tree:
    """The expression with each part replaced by its value."""
    if any(tree is part for part in parts):
        return arithmetic.value(tree)
    return tree if isinstance(tree, int) else (tree[0], replaced(tree[1], parts), replaced(tree[2], parts))


def work(tree: arithmetic.Tree) -> str:
    """A thread's solution of its part."""
    *steps, (last, _) = arithmetic.steps(tree)
    return "\n".join([*(f"{step}, left {arithmetic.expression(rest)}" for step, rest in steps), str(last)])


def family(
    key: str, asked: str, threads: Sequence[Thread], solution: str, rng: random.Random, *, before: str = ""
) -> Iterator[Document]:
    """The documents of the parent and of three threads, including one that found something if any did.

    `before` is what the parent says before the block.
    """
    outlines = "".join(f"<Outline>{n}: {thread.outline}</Outline>\n" for n, thread in enumerate(threads, 1))
    block = f"{before}<Parallel>\n<Outlines>\n{outlines}</Outlines>"
    joined = "\n" + "".join(f"{header(n)}{end(thread)}" for n, thread in enumerate(threads, 1)) + "\n"
    opening, closing = f"{turn(asked)}", f"</Parallel>\n{solution}{END}"
    yield Document(key, "threads", ((opening, False), (block, True), (joined, False), (closing, True)))
    for n in chosen(threads, rng):
        prompt = f"{opening}{block}\n{header(n + 1)}"
        yield Document(key, "threads", ((prompt, False), (f"\n{threads[n].work}\n{end(threads[n])}", True)))


def header(n: int) -> str:
    return f"<Thread>\n{n}:"


def end(thread: Thread) -> str:
    """The part of a thread's text that returns to its parent."""
    return f"<Conclusion>{thread.conclusion}</Conclusion>\n</Thread>"


def chosen(threads: Sequence[Thread], rng: random.Random) -> list[int]:
    """The numbers of three threads to learn from."""
    fruitful = [n for n, thread in enumerate(threads) if thread.conclusion != NONE]
    first = rng.choice(fruitful or range(len(threads)))
    others = [n for n in range(len(threads)) if n != first]
    return [first, *rng.sample(others, min(2, len(others)))]
