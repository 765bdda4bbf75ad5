"""SIGKILLs at random moments, for all commands that write: nothing is lost, and resumed runs equal undisturbed ones.

Each kill starts a command and ends it without warning, while it starts, works or is about to end. Killed runs
(embedded, and recordings replayed) and sweeps are resumed until they are done, and must then equal a run that was never
killed, row by row. The file of an import, an export, a report or a drawing is either complete or the previous one,
unchanged. A grading is done or not, problem by problem, and the same command completes it. Exit status 1 for anything
else.

    python bench/kills.py [--kills 200] [--seed 0] [--commands eval,replay,sweep,import,export,report,curve,grade]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from widthwise.evals.store.store import Store, compare

PROGRAM = (sys.executable, "-m", "widthwise")
VOTE = "best_of_n(n=6) | majority_vote()"


class Wrong(Exception):
    """Something wrong that a kill did."""


def command(words: Sequence[str], folder: Path) -> None:
    """Run a command to its end."""
    done = subprocess.run([*PROGRAM, *words], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise Wrong(f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-500:]}")


def killed(words: Sequence[str], folder: Path, after: float) -> bool:
    """Start a command and kill it after so many seconds; returns whether it was still running."""
    process = subprocess.Popen([*PROGRAM, *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after)
    process.kill()
    return process.wait() != 0


@dataclass(slots=True)
class Tried:
    """A command that is killed again and again in its own folder.

    ``longest`` is how long it takes undisturbed. ``check`` looks at what a kill has left, ``end`` at the result when
    the command has finally run to its end.
    """

    words: list[str]
    folder: Path
    check: Callable[[Path], None]
    end: Callable[[Path], None]
    longest: float = 0.0
    kills: int = 0
    unhurt: int = 0

    def kill(self, chance: random.Random) -> None:
        if killed(self.words, self.folder, chance.uniform(0.1, 1.05) * self.longest):
            self.kills += 1
            self.check(self.folder)
        else:  # it finished before its time was over
            self.unhurt += 1
            self.end(self.folder)

    def finish(self) -> None:
        command(self.words, self.folder)
        self.end(self.folder)


@dataclass(slots=True)
class Ground:
    """The test ground: ``calm`` holds what undisturbed commands make."""

    root: Path
    calm: Path = field(init=False)

    def __post_init__(self) -> None:
        self.calm = self.root / "calm"
        self.calm.mkdir()
        rows = [_row(i) for i in range(120)]
        (self.calm / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def tried(self, name: str, words: list[str], check: Callable[[Path], None], end: Callable[[Path], None]) -> Tried:
        """The command, run once undisturbed, with its folder for kills."""
        needs = ["sums.jsonl", *(["replay.db"] if words[1] == "replay.db" else [])]
        began = time.monotonic()
        command(words, self.calm)
        longest = time.monotonic() - began
        folder = self.root / name
        folder.mkdir()
        for file in needs:
            shutil.copy(self.calm / file, folder / file)
        return Tried(words, folder, check, end, longest)


def _row(i: int) -> dict[str, object]:
    samples = [{"text": f"{'so ' * 400}it is \\boxed{{{2 * i + k % 2}}}", "answer": None} for k in range(6)]
    return {"problem_id": f"sum-{i}", "problem": f"What is {i} plus {i}?", "answer": str(2 * i), "samples": samples}


def equal_runs(calm: Path, broken: Path) -> None:
    """Both are finished, and have the same content."""
    with Store.read(calm) as a, Store.read(broken) as b:
        if differences := compare(a, b):
            raise Wrong(f"{broken} differs after resuming: {differences[:3]}")
        if any(outcome.state != "done" for outcome in b.outcomes()):
            raise Wrong(f"{broken} is not done")


def _resumed(calm: Path, name: str) -> Callable[[Path], None]:
    def end(folder: Path) -> None:
        equal_runs(calm / name, folder / name)
        (folder / name).unlink()  # the next kill meets a new run

    return end


def _swept(calm: Path) -> Callable[[Path], None]:
    def end(folder: Path) -> None:
        for run in (calm / "sweep").glob("*.db"):
            equal_runs(run, folder / "sweep" / run.name)
        shutil.rmtree(folder / "sweep")

    return end


def _readable(name: str) -> Callable[[Path], None]:
    """What a kill leaves of a run must be readable, or the run had not begun."""

    def check(folder: Path) -> None:
        for path in folder.glob(name):
            if path.stat().st_size:
                done = subprocess.run([*PROGRAM, "traces", str(path)], capture_output=True, text=True)
                if done.returncode and "holds no run yet" not in done.stderr:
                    raise Wrong(f"{path} cannot be read after a kill: {done.stderr[-300:]}")

    return check


@dataclass(frozen=True, slots=True)
class Product:
    """A file that a command writes as a whole, replacing ``old`` (None: there was none)."""

    name: str
    old: bytes | None
    is_whole: Callable[[Path], bool]

    def check(self, folder: Path) -> None:
        """After a kill the file is either as it was before, or as the command makes it."""
        path = folder / self.name
        now = path.read_bytes() if path.exists() else None
        if now != self.old and not self.is_whole(path):
            raise Wrong(f"{path} is neither the old file nor a whole new one")
        self._reset(path)

    def end(self, folder: Path) -> None:
        """The command has finished: the file is there."""
        path = folder / self.name
        if not path.exists() or not self.is_whole(path):
            raise Wrong(f"{path} is not what the command should make")
        self._reset(path)

    def _reset(self, path: Path) -> None:
        if self.old is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(self.old)


def _ends_in(mark: str) -> Callable[[Path], bool]:
    return lambda path: path.read_text().rstrip().endswith(mark)


def _has_lines(number: int) -> Callable[[Path], bool]:
    return lambda path: path.read_text().count("\n") == number


def grounds(root: Path, names: Sequence[str]) -> list[Tried]:
    """Every command that writes, with what must hold for it."""
    ground = Ground(root)
    calm = ground.calm
    replay = ["eval", "--data", "sums.jsonl", "--model", "replay:sums.jsonl", "--strategy", VOTE, "--run", "replay.db"]
    products = [
        (["import", "sums.jsonl", "imported.db"], Product("imported.db", None, lambda path: _problems(path) == 120)),
        (
            ["export", "replay.db", "a.jsonl"],
            Product("a.jsonl", b"old", lambda path: path.read_text().count("\n") == 120),
        ),
        (["report", "replay.db", "--out", "a.html"], Product("a.html", b"old", _ends_in("</html>"))),
        (["curve", "replay.db", "--replicates", "20", "--out", "a.svg"], Product("a.svg", b"old", _ends_in("</svg>"))),
    ]
    made: list[tuple[list[str], Callable[[Path], None], Callable[[Path], None]]] = [
        (["eval", "arithmetic", "--limit", "6", "--strategy", VOTE, "--seed", "3", "--run", "eval.db"],
         _readable("eval.db"), _resumed(calm, "eval.db")),
        (replay, _readable("replay.db"), _resumed(calm, "replay.db")),
        (["sweep", "--suite", "arithmetic", "--limit", "3", "--strategy", "best_of_n() | majority_vote()",
          "--budgets", "1,4", "--folder", "sweep"], _readable("sweep/*.db"), _swept(calm)),
        (["grade", "replay.db"], _readable("replay.db"),
         lambda folder: equal_runs(calm / "replay.db", folder / "replay.db")),
        *((words, product.check, product.end) for words, product in products),
    ]  # fmt: skip
    if {"export", "report", "curve", "grade"} & set(names):
        command(replay, calm)
    tried = []
    for words, check, end in made:
        name = "replay" if words is replay else words[0]
        if name in names:
            tried.append(ground.tried(name, words, check, end))
    for _, product in products:
        for each in tried:
            if product.old is not None:
                (each.folder / product.name).write_bytes(product.old)
    return tried


def _problems(run: Path) -> int:
    with Store.read(run) as store:
        return sum(outcome.state == "done" for outcome in store.outcomes())


COMMANDS = "eval,replay,sweep,import,export,report,curve,grade"


def kill_all(kills: int, seed: int, names: Sequence[str], say: Callable[[str], None] = print) -> dict[str, int]:
    """Kill commands ``kills`` times altogether, one after another; how often each was hit. Raises ``Wrong``."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as root:
        tried = grounds(Path(root), names)
        while sum(each.kills for each in tried) < kills:
            each = min(tried, key=lambda one: one.kills + 0.5 * one.unhurt)
            each.kill(chance)
            if (done := sum(one.kills for one in tried)) % 20 == 0:
                say(f"{done} kills")
        for each in tried:
            each.finish()
        return {each.folder.name: each.kills for each in tried}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", default=COMMANDS)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        hit = kill_all(arguments.kills, arguments.seed, arguments.commands.split(","))
    except Wrong as error:
        sys.exit(f"wrong: {error}")
    print(json.dumps({"kills": sum(hit.values()), "hit": hit, "wrong": 0}))


if __name__ == "__main__":
    main()
