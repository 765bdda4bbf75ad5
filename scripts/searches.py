"""Serialised searches of countdown: what a stream-of-search model and the threads of a parallel search write.

A line is one operation tried, with the numbers left after it. If only two are left, everything they make follows after
a colon; the search ends when that is the target:

    12 - 7 = 5, left 5 3 20
    5 + 3 = 8, left 8 20: 28 12 160
    5 * 3 = 15, left 15 20: 35

The number of numbers left shows the depth, so going back needs no words: the next line simply starts from an earlier
state. Gandhi et al., "Stream of Search" (arXiv 2404.03683), and Pan et al., "Adaptive Parallel Reasoning" (2504.15466)
serialise searches in this way; the order of branches is theirs too: the `kept` most promising ones by the distance of
their numbers from divisors of the target.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from solutions import distance

from widthwise.evals.suites.countdown import Move, moves


def branches(numbers: Sequence[int], target: int, kept: int) -> list[Move]:
    """The `kept` most promising different moves, in the order of enumeration."""
    different = {(tuple(sorted(move.rest)), str(move)): move for move in moves(numbers)}
    ranked = sorted(different.values(), key=lambda move: distance(move.rest, target))[:kept]
    return [move for move in different.values() if move in ranked]


def line(move: Move) -> str:
    """One tried operation as text."""
    return f"{move}, left {' '.join(map(str, move.rest))}" if len(move.rest) > 1 else str(move)


def written(paths: Iterable[tuple[Move, ...]]) -> str:
    """The operations tried, in order, as text; the last operation of each path is written as its result only."""
    text = ""
    for path in paths:
        move = path[-1]
        if len(move.rest) > 1 or len(path) == 1:
            text += f"\n{line(move)}{':' * (len(move.rest) == 2)}"
        else:
            text += f" {move.result}"
    return text.removeprefix("\n")


def depth_first(numbers: Sequence[int], target: int, kept: int) -> Iterator[tuple[Move, ...]]:
    """The path of every operation tried, in order; the last one reaches the target if any does.

    `kept` limits the branches of the first move only: later moves are few enough to try all.
    """
    for move in branches(numbers, target, kept):
        yield (move,)
        if len(move.rest) == 1:
            if move.result == target:
                return
            continue
        for path in depth_first(move.rest, target, len(move.rest) ** 4):
            yield (move, *path)
            if path[-1].rest == (target,):
                return


def breadth_first(numbers: Sequence[int], target: int, beam: int) -> Iterator[tuple[Sequence[int], list[Move]]]:
    """The states expanded, each with its moves, layer by layer with the best `beam` states kept."""
    layer: list[tuple[int, ...]] = [tuple(numbers)]
    while len(layer[0]) > 1:
        following: list[tuple[int, ...]] = []
        for state in layer:
            tried = []
            for move in branches(state, target, len(state) ** 4):
                tried.append(move)
                if move.rest == (target,):
                    break
            yield state, tried
            if tried[-1].rest == (target,):
                return
            following += [move.rest for move in tried]
        different = {tuple(sorted(rest)): rest for rest in following}
        layer = sorted(different.values(), key=lambda rest: distance(rest, target))[:beam]


def expansion(state: Sequence[int], tried: Sequence[Move]) -> str:
    """A state of a breadth-first search and the operations tried in it, as text."""
    lines = f"at {' '.join(map(str, state))}"
    if len(state) == 2:
        return f"{lines}: {' '.join(str(move.result) for move in tried)}"
    return "\n".join([lines, *map(line, tried)])
