"""Ends helper processes when this process is killed without a chance to do so itself."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

_log = logging.getLogger(__name__)

# Waits on a pipe that only our process holds open. A line means that everything was shut down in order. The end of the
# pipe means that our process is gone: the helper processes are asked to stop, and killed after a grace period.
_SCRIPT = 'folder=$1; shift; read -r _ || { kill "$@"; sleep 5; kill -9 "$@"; rm -rf "$folder"; } 2>/dev/null'


class Watchdog:
    """Kills ``pids`` when this process ends in whatever way, including SIGKILL, before ``dismiss``.

    vLLM's engine core otherwise outlives a killed parent and keeps the GPU's memory. ``folder``, which holds their
    temporary files, is removed with them. Does nothing if there is no POSIX shell.
    """

    def __init__(self, pids: Sequence[int], folder: Path | None = None) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        if os.name == "posix" and pids:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT, "watchdog", str(folder or ""), *map(str, pids)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for us, not for the watchdog
            )
        elif pids:
            _log.warning("this system has no POSIX shell: if this process is killed, end %s by hand", list(pids))

    def dismiss(self) -> None:
        """The processes are gone, or no longer need watching."""
        if self._process is not None:
            self._process.communicate(b"\n", timeout=5)
            self._process = None
