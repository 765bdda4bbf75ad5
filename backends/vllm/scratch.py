"""A folder of this process's own for vLLM's temporary files, which vLLM itself never removes."""

from __future__ import annotations

import getpass
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Scratch:
    """Each start of vLLM leaves a few sockets and files in the system's temporary folder, a restart too.

    ``begin`` has an engine's files put into a folder that is emptied by ``end`` when no engine of this process uses it
    any more. The folder itself stays until the process ends: vLLM reads its name only once.
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
        """``engine`` is started in the block."""
        if self._folder is None:
            os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", _compiled())
            self._folder = tempfile.TemporaryDirectory(prefix="widthwise-vllm-", ignore_cleanup_errors=True)
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
        """``engine`` is gone; saying so twice is fine."""
        self._users.discard(engine)
        if self._users or self.path is None:
            return
        for file in self.path.iterdir():
            with suppress(OSError):
                file.unlink()


def _compiled() -> str:
    """Where torch keeps what it compiled, in the system's temporary folder: for later processes too."""
    return os.path.join(tempfile.gettempdir(), f"torchinductor_{getpass.getuser()}")


SCRATCH = Scratch()
