"""What a tree that is asked and told costs by itself, beside treequest where that is installed.

A generator that answers at once, 100 to 3,200 nodes, one asked for at a time: processor milliseconds of this process
for the whole tree, the best of several rounds. treequest's StandardMCTS is run as its README shows it (``step``, which
copies the state), and by ``ask_batch`` and ``tell``. Exit status 1 if 800 nodes by UCT or best-first take 500 ms or
more, or if doubling such a tree costs more than threefold.

    python bench/ask_tell.py [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import count, pairwise
from typing import Any

import widthwise as ww

SIZES = (100, 200, 400, 800, 1_600, 3_200)
GOAL_MS = 500.0
POLICIES = {"uct": ww.UCT(), "puct": ww.PUCT(), "best first": ww.BestFirst(), "ab-mcts-a": ww.AdaptiveBranching()}


def worth(number: int) -> float:
    """What the node of this number is worth."""
    return random.Random(number).random()


def ours(policy: ww.TreePolicy, size: int) -> None:
    tree: ww.Tree[int] = ww.Tree(policy, 0)
    for number in range(size):
        [node] = tree.ask()
        tree.tell(node, worth(number), content=number)


def theirs(size: int, *, step: bool) -> None:
    import treequest

    search, numbers = treequest.StandardMCTS(samples_per_action=2), count()
    state = search.init_tree()

    def generate(parent: int | None) -> tuple[int, float]:
        return (number := next(numbers)), worth(number)

    for _ in range(size):
        if step:
            state = search.step(state, {"go": generate})
        else:
            state, [trial] = search.ask_batch(state, 1, ["go"])
            state = search.tell(state, trial.trial_id, generate(trial.parent_state))


def milliseconds(work: Callable[[], Any], rounds: int) -> float:
    took = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        took.append(1000 * (time.process_time() - began))
    return min(took)


def measured(rounds: int) -> dict[str, dict[int, float]]:
    """Milliseconds by who does it and by size."""
    found = {
        name: {size: milliseconds(lambda: ours(policy, size), rounds) for size in SIZES}  # noqa: B023
        for name, policy in POLICIES.items()
    }
    if find_spec("treequest") is not None:
        for name, step in (("treequest, step", True), ("treequest, ask and tell", False)):
            found[name] = {size: milliseconds(lambda: theirs(size, step=step), rounds) for size in SIZES[:4]}  # noqa: B023
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measured(arguments.rounds)
    if arguments.json:
        print(json.dumps({"milliseconds": found}))
    else:
        for name, row in found.items():
            print(f"{name:24}" + "".join(f"{size:>7,}: {value:8.1f} ms" for size, value in row.items()))
    gated = [found["uct"], found["best first"]]
    slow = any(row[800] >= GOAL_MS for row in gated)
    sys.exit(slow or max(row[b] / row[a] for row in gated for a, b in pairwise(SIZES)) > 3)


if __name__ == "__main__":
    main()
