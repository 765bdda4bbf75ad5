"""Measure how well thread traces keep to their grammar: `python scripts/eval_threads.py RUN.db`.

    widthwise eval "countdown(n=1000, seed=7)" --strategy "threads()" --run threads.db

A whole trace follows the grammar if everything sampled in it does: the block of outlines that it spawned, every
thread's work with its conclusion, and what follows the join up to the end. 95 % intervals are Wilson's.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from widthwise.core.trace.trace import Trace
from widthwise.evals.measure.intervals import wilson
from widthwise.evals.store.store import Store

MOVE = r"\d{1,6} [-+*/] \d{1,6} = \d{1,6}"
LINE = rf"{MOVE}(?:, left \d{{1,6}}(?: \d{{1,6}}){{1,5}}:?(?: \d{{1,6}}){{0,5}})?"
SOLUTION = rf"(?:{MOVE}(?:, left [\d ]{{1,40}})?\n\n){{1,5}}\\boxed\{{[^{{}}\n]{{1,80}}\}}(?:</s>)?"
KINDS = {
    "block": rf"<Parallel>\n<Outlines>\n(?:<Outline>\d{{1,2}}: {LINE}</Outline>\n){{1,12}}</Outlines>",
    "thread": rf"\n(?:{LINE}\n){{1,200}}<Conclusion>(?:none|{LINE}(?:\n{LINE}){{0,3}})</Conclusion>\n</Thread>",
    "joined": rf"</Parallel>\n{SOLUTION}",
}
"""What is sampled after a prompt, after a thread's header, and after a join."""


def kind(trace: Trace) -> str:
    """What a sampled segment should be, judging by what precedes it."""
    before = trace.parent
    if before is None or before.segment.origin == "prompt":
        return "block"
    return "thread" if "thread" in before.segment.metadata else "joined"


def checked(store: Store, problem: str) -> Iterator[tuple[str, bool]]:
    """The kind of every sampled segment of a problem, and whether it follows the grammar."""
    for trace in store.tree(problem).values():
        if trace.segment.origin == "sampled":
            yield kind(trace), re.fullmatch(KINDS[kind(trace)], trace.segment.text) is not None


def share(followed: int, seen: int) -> dict[str, float]:
    """The share in per cent, with its interval."""
    interval = wilson(followed, seen)
    percent = {"follow": followed / seen, "low": interval.low, "high": interval.high}
    return {"sampled": seen} | {name: round(100 * value, 2) for name, value in percent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    seen, followed = Counter[str](), Counter[str]()
    with Store.read(parser.parse_args().run) as store:
        for outcome in store.outcomes():
            found = list(checked(store, outcome.problem.id))
            for name, follows in [*found, ("whole trace", bool(found) and all(follows for _, follows in found))]:
                seen[name] += 1
                followed[name] += follows
    for name in seen:
        print(json.dumps({"kind": name} | share(followed[name], seen[name])))


if __name__ == "__main__":
    main()
