"""Reading a whole file from outside: only a regular file, and only up to a size limit."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

LARGEST_TEXT = 1 << 28
"""Size limit in bytes for a checkpoint's files other than weights; the largest tokenizers need a tenth."""


def file_bytes(path: Path, most: int | None = LARGEST_TEXT) -> bytes:
    """The bytes of a regular file. Raises ``OSError``, without waiting, for anything else and above ``most``."""
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "it is a folder, a pipe or a device, not a file")
    if most is not None and about.st_size > most:
        raise OSError(errno.EFBIG, f"it is larger than {most >> 20} MiB")
    return path.read_bytes()
