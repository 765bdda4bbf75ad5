"""Asking the process of reasoning-gym: one for this whole process, started when first needed."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.installation import install_command
from widthwise.core.plain_json import parse
from widthwise.core.sandbox import confinement

_PROGRAM = Path(__file__).with_name("process.py")
_REPLY_BYTES = 1 << 26
_MEMORY_BYTES = 4 << 30
_STARTING = 120.0
"""Wall-clock seconds that the process may take to load its library, on a busy machine."""
_KEPT = ("PATH", "HOME", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")


def installed() -> str:
    """The version of reasoning-gym; raises UsageError if it is not installed."""
    if find_spec("reasoning_gym") is None:
        raise UsageError(f"suites gym:NAME need reasoning-gym: {install_command('gym')}")
    return version("reasoning-gym")


class Server:
    """The process; it handles one request at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, cpu_seconds: float, **request: Any) -> dict[str, Any]:
        """The reply to a request: its ``value``, or a ``refusal`` that says why there is none.

        Raises UsageError if the process cannot be started, or does not answer.
        """
        installed()
        bounds = {"cpu_seconds": cpu_seconds, "memory_bytes": _MEMORY_BYTES, "reply_bytes": _REPLY_BYTES}
        with self._lock:
            line = self._exchange(json.dumps(bounds | request).encode() + b"\n", 9 * cpu_seconds + _STARTING)
        with contextlib.suppress(ValueError):
            match parse(line):
                case {"value": dict(value)}:
                    return {"value": value}
                case {"refusal": str(refusal)}:
                    return {"refusal": refusal}
                case {"ended": int(status)}:
                    return {"refusal": _death(status, cpu_seconds)}
        raise UsageError("the process of reasoning-gym sent an unreadable reply")

    def _exchange(self, line: bytes, patience: float) -> bytes:
        if self._process is None or self._process.poll() is not None:
            self._process = _started()
        running = self._process
        timer = threading.Timer(patience, _kill, [running])
        timer.start()
        try:
            assert running.stdin is not None
            assert running.stdout is not None
            running.stdin.write(line)
            running.stdin.flush()
            return running.stdout.readline(_REPLY_BYTES + 1)
        except OSError as error:
            raise UsageError(f"the process of reasoning-gym ended: {error.strerror}") from error
        finally:
            timer.cancel()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            _kill(self._process)
            self._process.wait()


def _started() -> subprocess.Popen[bytes]:
    known = {name: os.environ[name] for name in _KEPT if name in os.environ}
    folder = Path(confinement.__file__).parent
    try:
        return subprocess.Popen(
            [sys.executable, "-P", str(_PROGRAM), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # The order of sets affects what a generator makes.
            env={**known, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "TZ": "UTC"},
            start_new_session=True,
        )
    except OSError as error:
        raise UsageError(f"the process of reasoning-gym could not be started: {error.strerror}") from error


def _kill(running: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        os.killpg(running.pid, signal.SIGKILL)


def _death(status: int, cpu_seconds: float) -> str:
    if -status in (signal.SIGPROF, signal.SIGXCPU):
        return f"it ran for more than {cpu_seconds:g} seconds of processor time"
    return f"it ended with status {status}"


SERVER = Server()
atexit.register(SERVER.close)
