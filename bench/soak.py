"""Hours of runs with faults injected at random: what is resumed equals a calm run, and nothing grows.

Rounds, one after the other until the time is over. In most, a run of a random strategy is disturbed a few times
(killed, interrupted, on a full disk, under a clock that jumps, with a reader of its output that hardly reads) and
resumed: on the embedded engine and on recordings it must then equal a calm run row by row, on vLLM (``--vllm``) every
problem must be done without an error. In the others, this process answers problems itself, and its memory, descriptors,
threads, tasks and temporary files are counted. Last, 10,000 problems go through a replay that is killed three times.
Exit status 1 for a finding.

    python bench/soak.py [--minutes 60] [--problems 10000] [--vllm] [--seed 0]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import widthwise as ww
from widthwise.evals.store.store import Store, compare
from widthwise.opening import open_backend

STRATEGIES = (
    "best_of_n(n=6) | majority_vote()",
    "best_of_n(n=8) | adaptive_consistency() | majority_vote()",
    "single()",
    "threads() | majority_vote()",
    "parallel_distill_refine(drafts=4) | majority_vote()",
    "sequential_refinement(rounds=2) | majority_vote()",
    "recursive_self_aggregation(population=3, group=2, loops=2) | majority_vote()",
)
GROWTH = {"memory": 1.25, "descriptors": 1.0, "threads": 1.0, "tasks": 1.0, "temporary files": 1.0}
"""By which factor a figure may end above what it was after the first rounds."""

JUMPS = """
import random, runpy, sys, time
real, offset = time.time, 0.0
def jumping():
    global offset
    if random.random() < 0.05:
        offset += random.uniform(-86400, 86400)
    return real() + offset
time.time = jumping
sys.argv[0] = "widthwise"
runpy.run_module("widthwise", run_name="__main__")
"""


class Finding(Exception):
    """What must not be."""


# -- faults ----------------------------------------------------------------------------------------------------------


def _words(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "widthwise", *arguments]


def _ended(process: subprocess.Popen[bytes], number: int, after: float) -> None:
    time.sleep(after)
    process.send_signal(number)
    process.communicate()


def kill(arguments: Sequence[str], chance: random.Random) -> None:
    """SIGKILL."""
    _ended(_started(arguments), signal.SIGKILL, chance.uniform(0.5, 6))


def interrupt(arguments: Sequence[str], chance: random.Random) -> None:
    """Ctrl-C or SIGTERM, once or twice."""
    process, number = _started(arguments), chance.choice([signal.SIGINT, signal.SIGTERM])
    time.sleep(chance.uniform(1, 6))
    for _ in range(chance.choice([1, 2])):
        process.send_signal(number)
        time.sleep(0.2)
    _, said = process.communicate()
    if b"Traceback" in said and process.returncode not in (-number, 0):
        raise Finding(f"a traceback after a signal: {said[-400:]!r}")


def full_disk(arguments: Sequence[str], chance: random.Random) -> None:
    """No file may grow beyond a few kilobytes: a full disk, as SQLite sees it."""
    limit = chance.choice([20_000, 60_000, 200_000])

    def little_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(_words(arguments), capture_output=True, preexec_fn=little_room)
    if done.returncode and b"Traceback" in done.stderr:
        raise Finding(f"a full disk ends in a traceback: {done.stderr[-400:]!r}")


def jumping_clock(arguments: Sequence[str], chance: random.Random) -> None:
    """The clock on the wall jumps by up to a day, to and fro."""
    subprocess.run([sys.executable, "-c", JUMPS, *arguments], capture_output=True, check=True)


def slow_reader(arguments: Sequence[str], chance: random.Random) -> None:
    """Nobody reads what the command says for a while; then the reader goes away."""
    process = _started([*arguments, "--json"])
    time.sleep(chance.uniform(1, 4))
    assert process.stdout is not None
    process.stdout.close()
    process.wait()


def _started(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(_words(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE)


FAULTS: tuple[Callable[[Sequence[str], random.Random], None], ...] = (
    kill, kill, interrupt, full_disk, jumping_clock, slow_reader
)  # fmt: skip


# -- rounds ----------------------------------------------------------------------------------------------------------


def _let_through(arguments: Sequence[str]) -> None:
    done = subprocess.run(_words(arguments), capture_output=True, text=True)
    if done.returncode:
        raise Finding(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr[-400:]}")


def disturbed(model: str, data: Sequence[str], folder: Path, chance: random.Random) -> str:
    """A run that is disturbed and resumed; what was done to it. Raises ``Finding``."""
    strategies = STRATEGIES if not model.startswith("replay") else STRATEGIES[:3]
    strategy, seed = chance.choice(strategies), chance.randrange(3)
    common = ["eval", *data, "--model", model, "--strategy", strategy, "--seed", str(seed), "--max-tokens", "120"]
    calm = folder / f"calm {model.partition(':')[0]} {strategies.index(strategy)} {seed}.db"
    broken = folder / "broken.db"
    exact = not model.startswith("vllm")
    if exact and not calm.exists():
        _let_through([*common, "--run", str(calm)])
    arguments = [*common, "--concurrency", str(chance.choice([1, 4, 32])), "--run", str(broken)]
    faults = [chance.choice(FAULTS) for _ in range(chance.choice([1, 2, 3]))]
    for fault in faults:
        fault(arguments, chance)
    _let_through(arguments)
    with Store.read(broken) as b:
        if any(outcome.state != "done" for outcome in b.outcomes()):
            raise Finding(f"{strategy} on {model}: not all problems are done")
        if exact:
            with Store.read(calm) as a:
                if differences := compare(a, b):
                    raise Finding(f"{strategy} on {model}, seed {seed}: differs after {faults}: {differences[:2]}")
    broken.unlink()
    return "+".join(fault.__name__ for fault in faults)


class Growth:
    """What this process holds, after each of its own rounds."""

    def __init__(self) -> None:
        self.seen: list[dict[str, float]] = []
        self._backend = asyncio.run(open_backend("reasoner"))

    def round(self, chance: random.Random) -> None:
        strategy = chance.choice(STRATEGIES)
        tasks: list[int] = []

        async def answer() -> None:
            for i in range(4):
                await ww.solve_async(f"Compute ({i} + 5) * 3 - {i}.", strategy, self._backend, max_tokens=80)
            tasks.append(len(asyncio.all_tasks()))

        asyncio.run(answer())
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.seen.append(
            {
                "memory": pages * resource.getpagesize() / 2**20,
                "descriptors": len(os.listdir("/proc/self/fd")),
                "threads": threading.active_count(),
                "tasks": tasks[0],
                "temporary files": len(os.listdir(tempfile.gettempdir())),
            }
        )

    def check(self) -> None:
        """Raises ``Finding`` for a figure that is higher in the last tenth of the rounds than it was early on."""
        if len(self.seen) < 20:
            return
        early, late = self.seen[5:10], self.seen[-max(3, len(self.seen) // 10) :]
        for name, factor in GROWTH.items():
            if min(one[name] for one in late) > factor * max(one[name] for one in early):
                raise Finding(f"{name} grows: {early[0][name]:g} after five rounds, {late[-1][name]:g} at the end")


def many(problems: int, folder: Path, chance: random.Random) -> None:
    """Many problems through a replay, disturbed now and then."""
    file = folder / "many.jsonl"
    with file.open("w", encoding="utf-8") as out:
        for i in range(problems):
            samples = [{"text": f"So it is \\boxed{{{2 * i + k % 2}}}", "answer": None} for k in range(3)]
            row = {"problem_id": f"sum-{i}", "problem": f"What is {i} + {i}?", "answer": str(2 * i), "samples": samples}
            out.write(json.dumps(row) + "\n")
    arguments = [
        "eval",
        "--data",
        str(file),
        "--model",
        f"replay:{file}",
        "--strategy",
        "best_of_n(n=3) | majority_vote()",
    ]
    for _ in range(3):
        kill([*arguments, "--run", str(folder / "many.db")], chance)
    _let_through([*arguments, "--run", str(folder / "many.db")])
    with Store.read(folder / "many.db") as store:
        done = sum(outcome.state == "done" for outcome in store.outcomes())
    if done != problems:
        raise Finding(f"{done} of {problems} problems are done")


def soak(minutes: float, problems: int, seed: int, *, vllm: bool) -> dict[str, object]:
    """Rounds until the time is over; what was done. Raises ``Finding``."""
    chance, until, done, growth = random.Random(seed), time.monotonic() + 60 * minutes, Counter[str](), Growth()
    arithmetic = ["arithmetic", "--limit", "4"]
    with tempfile.TemporaryDirectory(prefix="widthwise-soak-") as name:
        folder = Path(name)
        recorded = folder / "recorded.db"
        _let_through(["eval", *arithmetic, "--strategy", "best_of_n(n=8) | majority_vote()", "--run", str(recorded)])
        models = [("reasoner", arithmetic), ("reasoner", arithmetic), (f"replay:{recorded}", ["--data", str(recorded)])]
        models += [("vllm:reasoner", arithmetic)] if vllm else []
        while time.monotonic() < until:
            if chance.random() < 0.4:
                growth.round(chance)
                done["rounds of this process"] += 1
                continue
            model, data = chance.choice(models)
            done[f"{model.partition(':')[0]}: {disturbed(model, data, folder, chance)}"] += 1
        growth.check()
        if problems:
            many(problems, folder, chance)
    last = growth.seen[-1] if growth.seen else {}
    return {"minutes": minutes, "problems replayed": problems, "rounds": dict(done), "held at the end": last}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--problems", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vllm", action="store_true", help="some of the rounds on vLLM")
    arguments = parser.parse_args()
    try:
        print(json.dumps(soak(arguments.minutes, arguments.problems, arguments.seed, vllm=arguments.vllm)))
    except Finding as finding:
        sys.exit(f"finding: {finding}")


if __name__ == "__main__":
    main()
