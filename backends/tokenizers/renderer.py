"""Rendering chat templates within limits of time, memory and length."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from widthwise.core.errors import UsageError

SECONDS = 10
"""Processor time in seconds that a template may take for one conversation."""
_PATIENCE = 12
"""How many times as long a busy machine may take for it."""
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "LANG", "TMPDIR")
_WORKER = Path(__file__).with_name("template_worker.py")


class Renderer:
    """One process for all templates of this program, started when first needed and again after it was killed."""

    def __init__(self, seconds: int = SECONDS) -> None:
        self._seconds = seconds
        self.forget()

    def forget(self) -> None:
        """Let go of the process without ending it: a forked program starts its own."""
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def render(self, source: str, context: Mapping[str, Any], today: str) -> str:
        """The template ``source`` with the names of ``context``; ``UsageError``, in one sentence, if it fails."""
        task = {"source": source, "today": today, "seconds": self._seconds, "context": dict(context)}
        with self._lock:
            reply = self._asked(json.dumps(task).encode() + b"\n")
        if "text" in reply:
            return str(reply["text"])
        said = " ".join(str(reply["error"]).split())[:300]
        raise UsageError(f"the model's chat template refuses the conversation: {said}")

    def close(self) -> None:
        """End the process; a later ``render`` starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _asked(self, task: bytes) -> dict[str, Any]:
        try:
            process = self._running()
        except OSError as error:
            return {"error": f"no process could be started to render it ({error})"}
        assert process.stdin is not None
        assert process.stdout is not None
        alarm = threading.Timer(self._seconds * _PATIENCE, process.kill)
        alarm.start()
        try:
            process.stdin.write(task)
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = b""
        finally:
            alarm.cancel()
        if line:
            return dict(json.loads(line))
        self.close()
        return {"error": f"it took more than {self._seconds} seconds, or more memory than allowed"}

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            # Jinja may be anywhere on the path; a template has no business with keys in the environment.
            environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
            environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-P", str(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
        return self._process


RENDERER = Renderer()
atexit.register(RENDERER.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=RENDERER.forget)
