"""Running programs that a model wrote, each in a separate process that can only compute and print."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal
from weakref import WeakKeyDictionary

from widthwise.core.errors import UsageError
from widthwise.core.plain_json import parse
from widthwise.core.sandbox import confinement

INTERPRETER = sys.executable
"""The interpreter that runs the programs."""

_REPLY_BYTES = 1 << 20
_TESTS_CHARS = 1 << 24
_slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may take: processor seconds, wall-clock seconds, bytes, characters.

    Computing is ended by processor time, however loaded the machine is; the wall-clock limit is for what should not be
    able to wait. ``program_chars`` limits the program itself, ``output_chars`` what it prints.
    """

    cpu_seconds: float = 10.0
    wall_seconds: float = 90.0
    memory_bytes: int = 1 << 30
    output_chars: int = 10_000
    program_chars: int = 20_000

    def __post_init__(self) -> None:
        if min(asdict(self).values()) <= 0:
            raise ValueError("the limits of a program must be positive")


@dataclass(frozen=True, slots=True)
class Execution:
    """What a program printed; ``refusal`` says why it did not run to its end, if it did not."""

    output: str
    refusal: str | None = None

    @property
    def ending(self) -> Ending:
        """How it ended; see ``Ending``."""
        if self.refusal is None:
            return "finished"
        for begins, ending in _ENDINGS.items():
            if self.refusal.startswith(begins):
                return ending
        return "refused"


Ending = Literal["finished", "raised", "out of time", "out of memory", "died", "refused"]
"""``raised``: by an error, of its tests or its own. ``refused``: it is not valid Python, or may not do what it asks
for.
"""
_ENDINGS: Mapping[str, Ending] = {
    "it raised ": "raised",
    "it ran for more than ": "out of time",
    "it ran out of memory": "out of memory",
    "its process ": "died",
}


@dataclass(frozen=True, slots=True)
class Tests:
    """What is run after a program, apart from it: it can use the program's ``names``, and fails without the first.

    What their functions return reaches the tests only as plain values. Of the printed text, only the tests' is kept.
    """

    text: str
    names: tuple[str, ...]


async def execute_all(programs: Sequence[str], limits: Limits | None = None) -> list[Execution]:
    """Run several programs, equal ones once; in order."""
    distinct = list(dict.fromkeys(programs))
    async with asyncio.TaskGroup() as group:
        tasks = {program: group.create_task(execute(program, limits)) for program in distinct}
    return [tasks[program].result() for program in programs]


async def execute(program: str, limits: Limits | None = None, tests: Tests | None = None) -> Execution:
    """Run a Python program within ``limits``; whatever it tries ends in an ``Execution``, never in an error.

    ``tests`` are run after it and decide how it ends: it finished if none of them raised anything.

    It may use the builtins and modules that ``confinement`` lists; there are no files, no network, no processes. As
    many programs run at once as there are processors; if the caller is cancelled, its program is killed.
    """
    limits = limits or Limits()
    if len(program) > limits.program_chars:
        return Execution("", f"it is longer than {limits.program_chars} characters")
    if tests is not None and len(tests.text) > _TESTS_CHARS:
        return Execution("", f"its tests are longer than {_TESTS_CHARS} characters")
    if not _is_text(program + (tests.text if tests else "")):
        return Execution("", "it is no text")
    request = {"program": program} | asdict(limits) | ({"tests": tests.text, "tested": tests.names} if tests else {})
    slots = _slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(os.cpu_count() or 1))
    async with slots:
        try:
            process = await _started()
        except OSError as error:
            return Execution("", f"its process could not be started: {error.strerror}")
        try:
            async with asyncio.timeout(limits.wall_seconds):
                reply = await _exchange(process, json.dumps(request).encode())
        except TimeoutError:
            return Execution("", f"it ran for more than {limits.wall_seconds:g} seconds")
        finally:
            await _end(process)
        return _read(reply) or Execution("", _death(process.returncode or 0, limits))


@cache
def require_walls() -> None:
    """Raises ``UsageError`` if a wall cannot be built: no program runs without all of them. Tried once per process."""
    request = json.dumps({"program": "print(1)"} | asdict(Limits())).encode()
    try:
        done = subprocess.run(**_process(), input=request, stdout=PIPE, stderr=DEVNULL, timeout=60)
        execution = _read(done.stdout) or Execution("", _death(done.returncode, Limits()))
    except (OSError, subprocess.SubprocessError) as error:
        execution = Execution("", f"its process could not be started ({error})")
    if execution != Execution("1\n"):
        why = (execution.refusal or "it does not work").removeprefix(confinement.NO_WALL)
        raise UsageError(
            f"programs that a model writes cannot be run here: {why}. They run on Linux, on x86-64 or arm64, where "
            "the kernel filters system calls; use another strategy, or another machine"
        )


async def _started() -> Process:
    """A process that waits for its request; its environment only names the interpreter's libraries."""
    command = _process()
    return await asyncio.create_subprocess_exec(
        *command.pop("args"), stdin=PIPE, stdout=PIPE, stderr=DEVNULL, **command
    )


def _process() -> dict[str, Any]:
    known = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return {
        "args": [INTERPRETER, "-I", "-S", confinement.__file__],
        "cwd": Path(confinement.__file__).anchor,
        "env": {**known, "TZ": "UTC"},
        "start_new_session": True,
    }


def _is_text(program: str) -> bool:
    try:
        return b"\0" not in program.encode()
    except UnicodeEncodeError:
        return False


async def _exchange(process: Process, request: bytes) -> bytes:
    """The reply to ``request``, limited to the size that a reply may have."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(OSError):  # a process that died early gives the reason by its reply or its end
        process.stdin.write(request)
        await process.stdin.drain()
        process.stdin.close()
    reply = b""
    while len(reply) <= _REPLY_BYTES and (part := await process.stdout.read(1 << 16)):
        reply += part
    return reply


async def _end(process: Process) -> None:
    """Kill the process with everything it may have started, and wait for its end."""
    with contextlib.suppress(OSError):  # it has already ended
        os.killpg(process.pid, signal.SIGKILL)
    # asyncio reports a process's end only once its pipes have ended: unwanted output is read and dropped.
    while process.stdout is not None and await process.stdout.read(1 << 16):
        pass
    await process.wait()


def _read(reply: bytes) -> Execution | None:
    """The reply as a value; None if it is not one."""
    with contextlib.suppress(ValueError):
        match parse(reply):
            case {"output": str(output), "refusal": str() | None as refusal}:
                return Execution(output, refusal)
    return None


def _death(status: int, limits: Limits) -> str:
    """Why a process ended without a reply."""
    if -status in (getattr(signal, "SIGPROF", None), getattr(signal, "SIGXCPU", None)):
        return f"it ran for more than {limits.cpu_seconds:g} seconds of processor time"
    return f"its process died ({signal.Signals(-status).name})" if status < 0 else "its process ended without a reply"
