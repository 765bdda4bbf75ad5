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

SECONDS = 10.0
"""How long a template may take for one conversation."""
_WORKER = Path(__file__).with_name("template_worker.py")


class Renderer:
    """One process for all templates of this program, begun when first needed and again after it was killed."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()

    def render(self, source: str, context: Mapping[str, Any], today: str) -> str:
        """The template ``source`` with the names of ``context``; ``UsageError``, in one sentence, where it fails."""
        task = json.dumps({"source": source, "today": today, "context": dict(context)}).encode() + b"\n"
        with self._lock:
            reply = self._asked(task)
        if "text" in reply:
            return str(reply["text"])
        said = " ".join(str(reply["error"]).split())[:300]
        raise UsageError(f"the model's chat template refuses the conversation: {said}")

    def close(self) -> None:
        """End the process; a later ``render`` begins another."""
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.communicate()

    def _asked(self, task: bytes) -> dict[str, Any]:
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        alarm = threading.Timer(self.seconds, process.kill)
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
        return {"error": f"it took more than {self.seconds:g} seconds, or more memory than it may have"}

    def _running(self) -> subprocess.Popen[bytes]:
        ours = self._owner == os.getpid()  # a forked program shares the pipes of its parent's
        if self._process is None or not ours or self._process.poll() is not None:
            self._owner = os.getpid()
            paths = os.pathsep.join(path for path in sys.path if path)  # Jinja may stand anywhere on it
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-P", str(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": paths},
            )
        return self._process


RENDERER = Renderer()
atexit.register(RENDERER.close)
