"""What a process and its children hold while they answer problems round after round: nothing may grow.

Memory, descriptors, threads, tasks and temporary files, after each round of a random strategy on new questions; each
figure must end where it was after the first rounds. Exit status 1 if one grew.

    python bench/growth.py [--model reasoner] [--rounds 40] [--seed 0]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

from faults import Finding

import widthwise as ww
from widthwise.core.backend import Backend
from widthwise.opening import open_backend

STRATEGIES = (
    "best_of_n(n=6) | majority_vote()",
    "best_of_n(n=8) | adaptive_consistency() | majority_vote()",
    "best_of_n(n=8) | deepconf(warmup=4, window=16) | weighted_vote()",
    "best_of_n(n=4) | generative_verification(k=1)",
    "beam_search(n=4, by='mean_logprob') | best_by()",
    "single()",
    "threads() | majority_vote()",
    "parallel_distill_refine(drafts=4) | majority_vote()",
    "sequential_refinement(rounds=2) | majority_vote()",
    "recursive_self_aggregation(population=3, group=2, loops=2) | majority_vote()",
)
ALLOWED = {"memory": 1.25, "descriptors": 1.0, "threads": 1.0, "tasks": 1.0, "temporary files": 1.0}
"""By which factor a figure may exceed its value after the first rounds at the end."""

LEAST_ROUNDS = 20
ARGUMENTS: dict[str, dict[str, Any]] = {
    "embedded": {"kv_cache_bytes": 4 << 20},  # full after a few rounds, as it would be after an hour
    "vllm": {"kv_cache_memory_bytes": 1 << 28, "max_num_seqs": 64},
}


class Growth:
    """What this process and its children hold, after each of its rounds on one open model."""

    def __init__(self, model: str, temporary: Path) -> None:
        self.seen: list[dict[str, float]] = []
        self._temporary = temporary
        kind = model.partition(":")[0] if ":" in model else "embedded"
        self._backend: Backend = asyncio.run(open_backend(model, ARGUMENTS[kind]))

    def round(self, chance: random.Random) -> None:
        tasks = asyncio.run(self._answered(chance))
        held = [_held(pid) for pid in (os.getpid(), *_children(os.getpid()))]
        sums = {name: sum(one[name] for one in held) for name in ("memory", "descriptors", "threads")}
        files = sum(1 for path in self._temporary.rglob("*") if not path.is_dir())
        self.seen.append({**sums, "tasks": tasks, "temporary files": files})

    async def _answered(self, chance: random.Random) -> int:
        """Answer four new questions together; returns how many tasks are left afterwards."""
        strategy = chance.choice(STRATEGIES)
        asked = [f"Compute ({chance.randrange(99)} + 5) * 3 - {chance.randrange(99)}." for _ in range(4)]
        await asyncio.gather(*(ww.solve_async(each, strategy, self._backend, max_tokens=80) for each in asked))
        return len(asyncio.all_tasks())

    def check(self) -> None:
        """Raises ``Finding`` for a figure that is higher in the last tenth of the rounds than it was early on."""
        if len(self.seen) < LEAST_ROUNDS:
            raise Finding(f"{len(self.seen)} rounds are too few to judge growth by: {LEAST_ROUNDS} at least")
        early, late = self.seen[5:10], self.seen[-max(3, len(self.seen) // 10) :]
        for name, factor in ALLOWED.items():
            before, after = max(one[name] for one in early), min(one[name] for one in late)
            if after > factor * before:
                raise Finding(f"{name} grew from at most {before:g} in rounds 6 to 10 to at least {after:g} at the end")

    def close(self) -> None:
        asyncio.run(self._backend.close())


def _children(pid: int) -> list[int]:
    """The living descendants of a process."""
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, file.read_text().split()):
                found += [child, *_children(child)]
    return found


def _held(pid: int) -> dict[str, float]:
    """Memory in MiB, descriptors and threads of a process; nothing if it has just ended."""
    with suppress(OSError):
        home = Path(f"/proc/{pid}")
        pages = int((home / "statm").read_text().split()[1])
        return {
            "memory": pages * os.sysconf("SC_PAGESIZE") / 2**20,
            "descriptors": len(os.listdir(home / "fd")),
            "threads": len(os.listdir(home / "task")),
        }
    return {"memory": 0.0, "descriptors": 0.0, "threads": 0.0}


@contextmanager
def own_temporary_folder() -> Iterator[Path]:
    """A folder for temporary files that only this process and its children use.

    What torch compiled is kept elsewhere, for later processes.
    """
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="widthwise-growth-") as name:
        temporary = Path(name) / "temporary"
        temporary.mkdir()
        folders = {"TMPDIR": str(temporary), "TORCHINDUCTOR_CACHE_DIR": str(Path(name) / "compiled")}
        tempfile.tempdir = str(temporary)
        try:
            with patch.dict(os.environ, folders):
                yield temporary
        finally:
            tempfile.tempdir = before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="reasoner")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with own_temporary_folder() as temporary:
        growth = Growth(arguments.model, temporary)
        try:
            for _ in range(arguments.rounds):
                growth.round(chance)
        finally:
            growth.close()
    print(json.dumps({"model": arguments.model, "rounds": len(growth.seen), "seen": [growth.seen[9], growth.seen[-1]]}))
    try:
        growth.check()
    except Finding as finding:
        sys.exit(f"finding: {finding}")


if __name__ == "__main__":
    main()
