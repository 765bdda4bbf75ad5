"""Training data of the micro reasoner: documents of its skills, as arrays of token ids.

`python scripts/reasoner_data.py models/reasoner/tokenizer.model data.npz --seed 1 --thousands 300`

Problems of the held-out part are left out, and every solution is right: the model's mistakes are its own. `--attempts`
names a file that `attempts.py` wrote: what an earlier checkpoint answered, from which it learns to refine, to compare
and to verify.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import sentencepiece
from documents import Document, document, encode
from outlines import arithmetic_outlines, countdown_outlines
from searches import breadth_first, depth_first, expansion, written
from solutions import arithmetic_solution, countdown_solution, expressions, games, solving_moves
from threads import WIDTHS, arithmetic_threads, countdown_threads

from widthwise.evals.suites import countdown

LEVELS = range(1, 13)
NUMBERS = (3, 4, 4, 4, 4, 4, 4, 5)
BRANCHES = 8  # first moves of a depth-first search
BEAMS = (1, 2, 3)


def solve_countdown(rng: random.Random) -> Iterator[Document]:
    sources = {n: games(rng, n) for n in set(NUMBERS)}
    while True:
        game = next(sources[rng.choice(NUMBERS)])
        moves = solving_moves(game.numbers, game.target, rng)
        yield document(game.key, "solve", game.question, countdown_solution(game.numbers, moves))


def solve_arithmetic(rng: random.Random) -> Iterator[Document]:
    """Right solutions: products and quotients of two digits are hard enough for a small model to err by itself."""
    for problem in expressions(rng, LEVELS):
        yield document(problem.key, "solve", problem.question, arithmetic_solution(problem.tree))


def search(rng: random.Random) -> Iterator[Document]:
    """Searches, one in four breadth-first, followed by the solution found (or a guess, if the search found none)."""
    for game in games(rng):
        depth = rng.random() < 0.75
        tried, moves = by_depth(game.numbers, game.target) if depth else by_breadth(game.numbers, game.target, rng)
        if not moves:
            moves = solving_moves(game.numbers, game.target, rng)
        asked = f"{game.question}<search>{'depth' if depth else 'breadth'}"
        yield document(game.key, "search", asked, f"{tried}\n\n{countdown_solution(game.numbers, moves)}")


def by_depth(numbers: tuple[int, ...], target: int) -> tuple[str, list[countdown.Move]]:
    paths = list(depth_first(numbers, target, BRANCHES))
    solved = paths[-1][-1].rest == (target,)
    return written(paths), list(paths[-1]) if solved else []


def by_breadth(numbers: tuple[int, ...], target: int, rng: random.Random) -> tuple[str, list[countdown.Move]]:
    expanded, came_by = [], {tuple(numbers): list[countdown.Move]()}
    solution: list[countdown.Move] = []
    for state, tried in breadth_first(numbers, target, rng.choice(BEAMS)):
        expanded.append(expansion(state, tried))
        for move in tried:
            came_by.setdefault(move.rest, [*came_by[tuple(state)], move])
        if tried[-1].rest == (target,):
            solution = [*came_by[tuple(state)], tried[-1]]
    return "\n".join(expanded), solution


def spawn_countdown(rng: random.Random) -> Iterator[Document]:
    for game in games(rng):
        yield from countdown_threads(game, rng.choice(WIDTHS), rng)


def spawn_arithmetic(rng: random.Random) -> Iterator[Document]:
    for problem in expressions(rng, range(3, 13)):
        yield from arithmetic_threads(problem, rng.choice(WIDTHS), rng)


def outline(rng: random.Random) -> Iterator[Document]:
    sums, boards = expressions(rng, range(2, 9)), games(rng)
    while True:
        yield from arithmetic_outlines(next(sums), rng)
        yield from countdown_outlines(next(boards), rng)


SHARES: dict[str, tuple[Callable[..., Iterator[Document]], int]] = {
    "solve countdown": (solve_countdown, 60),
    "solve arithmetic": (solve_arithmetic, 10),
    "search": (search, 3),
    "spawn countdown": (spawn_countdown, 9),
    "spawn arithmetic": (spawn_arithmetic, 1),
    "outline": (outline, 2),
}
"""Documents of each kind, out of about a hundred; searches and threads are ten times as long as solutions."""


def mixed(thousands: int, seed: int, kinds: dict[str, tuple[Callable[..., Iterator[Document]], int]]) -> list[Document]:
    """Documents of all kinds, shuffled."""
    whole = sum(share for _, share in kinds.values())
    documents: list[Document] = []
    for number, (make, share) in enumerate(kinds.values()):
        documents += islice(make(random.Random(1000 * seed + number)), 1000 * thousands * share // whole)
    random.Random(seed).shuffle(documents)
    return documents


def attempted(path: Path, share: int) -> dict[str, Any]:
    """The kinds of documents made from attempts."""
    from refining import learned

    return {"attempts": (partial(learned, path), share)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--thousands", type=int, default=300, help="documents, in thousands")
    parser.add_argument("--attempts", type=Path, help="attempts of an earlier checkpoint (attempts.py)")
    parser.add_argument("--share", type=int, default=14, help="share of documents made from attempts")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    begun = time.monotonic()
    kinds = SHARES | (attempted(options.attempts, options.share) if options.attempts else {})
    documents = mixed(options.thousands, options.seed, kinds)
    corpus = encode(documents, sentencepiece.SentencePieceProcessor(model_file=str(options.tokenizer)))
    corpus.save(options.out)
    print(f"{len(corpus)} documents {dict(Counter(each.skill for each in documents))}, "
          f"{len(corpus.tokens)} tokens, {time.monotonic() - begun:.0f} s")  # fmt: skip


if __name__ == "__main__":
    main()
