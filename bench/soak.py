"""Hours of runs with faults injected at random: resumed runs equal undisturbed ones, and nothing grows.

Rounds, one after another until the time is over. In most, a run of a random strategy meets a few faults (``faults.py``:
killed, interrupted, on a full disk, under a clock that jumps, with a reader of its output that goes away; on vLLM also
with its engine killed or stuck while it decodes) and is resumed: on the embedded engine and on recordings it must then
equal an undisturbed run row by row, on vLLM (``--vllm``) every problem must be finished without an error. In the
others, this process answers problems itself, and what it holds is counted (``growth.py``, which also does this for vLLM
once). Finally, 10,000 problems go through a replay that is killed three times. Exit status 1 for findings.

    python bench/soak.py [--minutes 60] [--problems 10000] [--vllm] [--seed 0] [--lock FILE]
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from faults import ENGINE_FAULTS, FAULTS, Command, Finding, kill
from growth import STRATEGIES, Growth, own_temporary_folder

from widthwise.evals.store.store import Store, compare

ARITHMETIC = ("arithmetic", "--limit", "4")
ON_VLLM = ("arithmetic", "--limit", "24", "--max-tokens", "120", "--backend-arg", "kv_cache_memory_bytes=268435456",
           "--backend-arg", "max_num_seqs=32", "--backend-arg", "stall_timeout=120")  # fmt: skip
RECORDABLE = (*STRATEGIES[:3], "single()")
"""What recordings of best-of-N can replay."""


@dataclass(slots=True)
class Soak:
    """One soak in ``folder``; ``lock`` is held while vLLM is running, for machines that others use too."""

    folder: Path
    chance: random.Random
    lock: Path | None = None
    say: Callable[[str], None] = print
    done: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    replayed: int = 0
    calm: dict[str, tuple[Path, float]] = field(default_factory=dict)
    began: int = 0

    def attempt(self, work: Callable[[], None]) -> None:
        """Do it; a finding is noted, and the soak goes on."""
        try:
            work()
        except Finding as finding:
            self.findings.append(str(finding))
            self.say(f"finding: {finding}")

    @property
    def recorded(self) -> Path:
        return self.folder / "recorded.db"

    def record(self) -> None:
        """Make the run that is replayed."""
        self._calm(["eval", *ARITHMETIC, "--strategy", STRATEGIES[1], "--logprobs", "20"], self.recorded)

    def round(self, model: str) -> None:
        """A run that meets faults and is resumed. Raises ``Finding``."""
        kind = model.partition(":")[0]
        try:
            with self._alone() if kind == "vllm" else nullcontext():
                what = self._disturbed(model)
        except BlockingIOError:
            what = "left out, because another program had the machine"
        finally:
            for file in self.folder.glob("broken.db*"):
                file.unlink()
        self.done[f"{kind}: {what}"] += 1
        self.say(f"{kind}: {what}")

    def _disturbed(self, model: str) -> str:
        exact, words = not model.startswith("vllm"), self._words(model)
        calm, longest = self._in_peace(words, model if not exact else " ".join(words))
        broken, width = self.folder / "broken.db", str(self.chance.choice([1, 4, 32]))
        command = Command([*words, "--concurrency", width, "--run", str(broken)], broken, longest)
        among = FAULTS if exact else ENGINE_FAULTS
        faults = [self.chance.choice(among) for _ in range(self.chance.choice([1, 2, 3]) if exact else 1)]
        for fault in faults:
            fault(command, self.chance)
        command.let_through()
        self._compare(broken, calm if exact else None, f"{' '.join(words)} after {_names(faults)}")
        return _names(faults)

    def _in_peace(self, words: Sequence[str], key: str) -> tuple[Path, float]:
        """The undisturbed run that ``key`` stands for, made once, and how many seconds it took."""
        if key not in self.calm:
            self.began += 1  # one that fails leaves its file
            path = self.folder / f"calm {self.began}.db"
            self.calm[key] = path, self._calm(words, path)
        return self.calm[key]

    def _words(self, model: str) -> list[str]:
        data: Sequence[str] = ARITHMETIC
        if model.startswith("replay"):
            data = ("--data", str(self.recorded))
        elif model.startswith("vllm"):
            data = ON_VLLM
        strategy = self.chance.choice(RECORDABLE if model.startswith("replay") else STRATEGIES)
        seed, limit = str(self.chance.randrange(3)), [] if "--max-tokens" in data else ["--max-tokens", "120"]
        return ["eval", *data, "--model", model, "--strategy", strategy, "--seed", seed, *limit]

    def _calm(self, words: Sequence[str], run: Path) -> float:
        """Run the command undisturbed, and return how many seconds it takes; it must leave no temporary file."""
        began = time.monotonic()
        with tempfile.TemporaryDirectory(dir=self.folder) as temporary:
            environment = {**os.environ, "TMPDIR": temporary}
            Command([*words, "--run", str(run)], run, environment=environment).let_through()
            if left := os.listdir(temporary):
                raise Finding(f"{' '.join(words)} leaves temporary files: {left[:5]}")
        return time.monotonic() - began

    def _compare(self, broken: Path, calm: Path | None, what: str) -> None:
        with Store.read(broken) as b:
            if any(outcome.state != "done" for outcome in b.outcomes()):
                raise Finding(f"not all problems are done: {what}")
            if calm is not None:
                with Store.read(calm) as a:
                    if differences := compare(a, b):
                        raise Finding(f"{differences[:2]}: {what}")

    def grown_on_vllm(self, rounds: int) -> None:
        """Growth on vLLM, in a separate process."""
        words = [sys.executable, str(Path(__file__).with_name("growth.py")), "--model", "vllm:reasoner"]
        with self._alone(fcntl.LOCK_EX):
            ended = subprocess.run([*words, "--rounds", str(rounds)], capture_output=True, text=True)
        if ended.returncode:
            raise Finding(f"growth on vLLM: {ended.stderr[-2000:]}")
        self.say(ended.stdout.splitlines()[-1])
        self.done["rounds of a process with vLLM"] += rounds

    def many(self, problems: int) -> None:
        """Many problems through a replay that is killed three times."""
        file, run = self.folder / "many.jsonl", self.folder / "many.db"
        with file.open("w", encoding="utf-8") as out:
            out.writelines(json.dumps(_row(i)) + "\n" for i in range(problems))
        words = ["eval", "--data", str(file), "--model", f"replay:{file}", "--strategy", RECORDABLE[0]]
        command = Command([*words, "--run", str(run)], run, longest=2 + problems / 200)
        for _ in range(3):
            kill(command, self.chance)
        command.let_through()
        with Store.read(run) as store:
            done = sum(outcome.state == "done" for outcome in store.outcomes())
        if done != problems:
            raise Finding(f"{done} of {problems} problems are done")
        self.replayed = problems

    @contextmanager
    def _alone(self, how: int = fcntl.LOCK_EX | fcntl.LOCK_NB) -> Iterator[None]:
        """Holds the lock, if there is one; raises ``BlockingIOError`` if another program has it."""
        with self.lock.open("a") if self.lock else nullcontext() as file:
            if file is not None:
                fcntl.flock(file, how)
            yield


def _names(faults: Sequence[Callable[..., None]]) -> str:
    return "+".join(fault.__name__ for fault in faults)


def _row(i: int) -> dict[str, object]:
    samples = [{"text": f"So it is \\boxed{{{2 * i + k % 2}}}", "answer": None} for k in range(6)]
    return {"problem_id": f"sum-{i}", "problem": f"What is {i} + {i}?", "answer": str(2 * i), "samples": samples}


def soak(one: Soak, minutes: float, problems: int, *, vllm: bool, rounds: int | None = None) -> dict[str, object]:
    """Rounds until the time is over, or ``rounds`` of them; what was done, with problems in ``one.findings``."""
    began = time.monotonic()
    one.record()
    models = ["reasoner", "reasoner", f"replay:{one.recorded}"] * 2 + ["vllm:reasoner"] * vllm
    with own_temporary_folder() as temporary:
        growth = Growth("reasoner", temporary)
        while time.monotonic() - began < 60 * minutes and (rounds is None or one.done.total() < rounds):
            if one.chance.random() < 0.5:
                growth.round(one.chance)
                one.done["rounds of this process"] += 1
            else:
                one.attempt(partial(one.round, one.chance.choice(models)))
        growth.close()
    if vllm:
        one.attempt(partial(one.grown_on_vllm, 40))
    if problems:
        one.attempt(partial(one.many, problems))
    if rounds is None:
        one.attempt(growth.check)
    held = {"after ten rounds": growth.seen[9:10], "at the end": growth.seen[-1:]}
    took = round((time.monotonic() - began) / 60, 1)
    return {"minutes": took, "problems replayed": one.replayed, "rounds": dict(one.done), "held": held}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--problems", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vllm", action="store_true", help="some of the rounds on vLLM")
    parser.add_argument("--lock", type=Path, help="a file that is locked while vLLM is running")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="widthwise-soak-") as name:
        one = Soak(Path(name), random.Random(arguments.seed), arguments.lock, lambda line: print(line, flush=True))
        done = soak(one, arguments.minutes, arguments.problems, vllm=arguments.vllm)
    print(json.dumps({**done, "findings": len(one.findings)}))
    sys.exit(bool(one.findings))


if __name__ == "__main__":
    main()
