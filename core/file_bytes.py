"""A file that others made, read whole: only if it is one, and no larger than what it may be."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

LARGEST_TEXT = 1 << 28
"""Bytes of a checkpoint's files besides its weights; the largest tokenizers take a tenth of it."""


def file_bytes(path: Path, most: int | None = LARGEST_TEXT) -> bytes:
    """The bytes of a regular file; ``OSError`` for anything else, without a wait, and for more than ``most``."""
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "it is a folder, a pipe or a device, and no file")
    if most is not None and about.st_size > most:
        raise OSError(errno.EFBIG, f"it is larger than {most >> 20} MiB")
    return path.read_bytes()
