"""A folder of this process's own for vLLM's temporary files, which vLLM itself never removes."""

from __future__ import annotations

import getpass
import logging
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_log = logging.getLogger(__name__)

_PREFIX = "widthwise-vllm-"
_SHORT = "/tmp"  # noqa: S108 - a folder of our own is made in it
_LONGEST_SOCKET = 103
"""Bytes that every system takes as the path of a socket."""


class Scratch:
    """Each start of vLLM, including restarts, leaves a few sockets and files in the system's temporary folder.

    ``begin`` has an engine's files put into a folder that ``end`` empties when no engine of this process uses it any
    more. The folder itself stays until the process ends, because vLLM reads its name only once.
    """

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._users: set[object] = set()

    @property
    def path(self) -> Path | None:
        """The folder; None before the first engine."""
        return None if self._folder is None else Path(self._folder.name)

    @contextmanager
    def begin(self, engine: object) -> Iterator[None]:
        """The engine is started inside the ``with`` block."""
        if self._folder is None:
            os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", _compiled())
            self._folder = _made()
            os.environ.setdefault("VLLM_RPC_BASE_PATH", self._folder.name)
        self._users.add(engine)
        before = os.environ.get("TMPDIR")
        os.environ["TMPDIR"] = self._folder.name  # for the processes that vLLM starts
        try:
            yield
        except BaseException:
            self.end(engine)
            raise
        finally:
            os.environ.pop("TMPDIR")
            if before is not None:
                os.environ["TMPDIR"] = before

    def end(self, engine: object) -> None:
        """The engine is gone; saying so twice is fine."""
        self._users.discard(engine)
        if self._users or self.path is None:
            return
        for file in self.path.iterdir():
            with suppress(OSError):
                file.unlink()


def _made() -> tempfile.TemporaryDirectory[str]:
    """A new folder in the temporary folder, or in a shorter one where the names of its sockets would be too long."""
    longest = os.path.join(tempfile.gettempdir(), f"{_PREFIX}12345678", str(uuid.UUID(int=0)))
    fits = len(os.fsencode(longest)) <= _LONGEST_SOCKET
    if not fits:
        _log.info("the path of the temporary folder is too long for vLLM's sockets: they go to %s", _SHORT)
    return tempfile.TemporaryDirectory(prefix=_PREFIX, dir=None if fits else _SHORT, ignore_cleanup_errors=True)


def _compiled() -> str:
    """Where torch keeps compiled code, in the system's temporary folder: later processes use it too."""
    return os.path.join(tempfile.gettempdir(), f"torchinductor_{getpass.getuser()}")


SCRATCH = Scratch()
