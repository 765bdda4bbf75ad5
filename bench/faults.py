"""Faults for running commands, injected at random: kills, signals, full disks, clocks, readers, dead and stuck engines.

Each takes a ``Command`` and does one thing to it. A command that still runs long after its time, leaves processes
behind or ends in a traceback is a ``Finding``; the caller must check what became of its run file.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

JUMPS = """
import random, runpy, sys, time
real, offset = time.time, 0.0
def jumping():
    global offset
    if random.random() < 0.05:
        offset += random.uniform(-86400, 86400)
    return real() + offset
time.time = jumping
if __name__ == "__main__":
    sys.argv[0] = "widthwise"
    runpy.run_module("widthwise", run_name="__main__")
"""
PATIENCE = 20
"""A command hangs if it takes this many times as long as undisturbed, plus five minutes."""

GRACE = 40.0
"""Seconds within which a dead command's processes must be gone."""


Process = subprocess.Popen[bytes]


class Finding(Exception):
    """Something that must not happen."""


@dataclass(frozen=True, slots=True)
class Command:
    """``words`` of the command line, whose run is kept in ``run``; ``longest`` is its duration undisturbed, in seconds.

    Each start of it is a separate session of processes, so that leftovers can be found.
    """

    words: Sequence[str]
    run: Path
    longest: float = 60.0
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    @property
    def on_vllm(self) -> bool:
        return any(word.startswith("vllm:") for word in self.words)

    @contextmanager
    def at_work(self, *more: str, start: Sequence[str] = ("-m", "widthwise"), **how: Any) -> Iterator[Process]:
        """The started command; it must be over when the block ends, and then all its processes must go."""
        words = [sys.executable, *start, *self.words, *more]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            words, stdout=pipe, stderr=pipe, env=self.environment, start_new_session=True, **how
        )  # fmt: skip
        try:
            yield process
            self.end_of(process)
            if left := _left_after(process.pid, GRACE):
                raise Finding(f"{' '.join(self.words)} leaves processes behind: {left}")
        finally:
            for pid in _session(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()

    def end_of(self, process: Process) -> str:
        """The last thing it said, after it has ended by itself."""
        try:
            _, said = process.communicate(timeout=PATIENCE * self.longest + 300)
        except subprocess.TimeoutExpired:
            raise Finding(f"{' '.join(self.words)} hangs") from None
        except ValueError:  # nothing listens any more
            process.wait(PATIENCE * self.longest + 300)
            return ""
        return said.decode(errors="replace")

    def let_through(self) -> None:
        """Run it to its end, which must be successful."""
        with self.at_work() as process:
            said = self.end_of(process)
        if process.returncode:
            raise Finding(f"{' '.join(self.words)} ended with {process.returncode}: {said[-2000:]}")


def _session(leader: int) -> list[int]:
    """The living processes of the session that this process started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader and state != "Z":
                found.append(int(stat.parent.name))
    return found


def _left_after(leader: int, seconds: float) -> list[int]:
    until = time.monotonic() + seconds
    while (left := _session(leader)) and time.monotonic() < until:
        time.sleep(0.2)
    return left


def _moment(command: Command, chance: random.Random) -> float:
    """While it starts, works or is about to end."""
    return chance.uniform(0.1, 1.0) * command.longest


# -- faults ----------------------------------------------------------------------------------------------------------


def kill(command: Command, chance: random.Random) -> None:
    """SIGKILL."""
    with command.at_work() as process:
        time.sleep(_moment(command, chance))
        process.kill()


def interrupt(command: Command, chance: random.Random) -> None:
    """Ctrl-C or SIGTERM, once or twice."""
    number = chance.choice([signal.SIGINT, signal.SIGTERM])
    heard = partial(signal.signal, number, signal.SIG_DFL)  # also if this process runs in the background of a script
    with command.at_work(preexec_fn=heard) as process:
        time.sleep(_moment(command, chance))
        for _ in range(chance.choice([1, 2])):
            process.send_signal(number)
            time.sleep(0.2)
        said = command.end_of(process)
    if "Traceback" in said and process.returncode not in (-number, 0) and not command.on_vllm:
        raise Finding(f"a traceback after a signal: {said[-2000:]}")


def full_disk(command: Command, chance: random.Random) -> None:
    """No file may grow beyond a few kilobytes: to SQLite this looks like a full disk."""
    limit = chance.choice([20_000, 60_000, 200_000])

    def little_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    with command.at_work(preexec_fn=little_room) as process:
        said = command.end_of(process)
    if process.returncode and "Traceback" in said and not command.on_vllm:
        raise Finding(f"a full disk ends in a traceback: {said[-2000:]}")


def jumping_clock(command: Command, chance: random.Random) -> None:
    """The wall clock jumps by up to a day, back and forth."""
    with command.at_work(start=("-c", JUMPS)) as process:
        said = command.end_of(process)
    if process.returncode:
        raise Finding(f"under a jumping clock it ends with {process.returncode}: {said[-2000:]}")


def slow_reader(command: Command, chance: random.Random) -> None:
    """The command's output is not read for a while; then the reader goes away."""
    with command.at_work("--json") as process:
        time.sleep(_moment(command, chance))
        assert process.stdout is not None
        process.stdout.close()
        process.wait(PATIENCE * command.longest + 300)


def engine_killed(command: Command, chance: random.Random) -> None:
    """SIGKILL for the engine's own process while it decodes: the command must go on with a new one."""
    _signalled_engine(command, chance, signal.SIGKILL)


def engine_stopped(command: Command, chance: random.Random) -> None:
    """SIGSTOP for the engine's own process while it decodes: it must be noticed as stuck; the command must go on."""
    _signalled_engine(command, chance, signal.SIGSTOP)


def _signalled_engine(command: Command, chance: random.Random, number: signal.Signals) -> None:
    with command.at_work() as process:
        while process.poll() is None and not command.run.exists():  # the run begins when the engine is ready
            time.sleep(0.1)
        time.sleep(chance.uniform(0.0, 4.0))
        for pid in _session(process.pid):
            if _is_engine(pid):
                os.kill(pid, number)
        said = command.end_of(process)
    if process.returncode:
        raise Finding(f"with its engine hit by {number.name}, it ends with {process.returncode}: {said[-2000:]}")


def _is_engine(pid: int) -> bool:
    with suppress(OSError):
        return "EngineCore" in Path(f"/proc/{pid}/cmdline").read_text()
    return False


Fault = Callable[[Command, random.Random], None]
FAULTS: tuple[Fault, ...] = (kill, kill, interrupt, full_disk, jumping_clock, slow_reader)
ENGINE_FAULTS: tuple[Fault, ...] = (kill, interrupt, jumping_clock, engine_killed, engine_stopped)
