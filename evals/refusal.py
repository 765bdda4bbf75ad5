"""Why the system refuses to write a file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_FORBIDDEN = (errno.EACCES, errno.EPERM)
_CAUSES = {
    **dict.fromkeys(_FORBIDDEN, "you may not write in {folder}"),
    errno.EROFS: "{folder} is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your share of the disk is full",
    errno.ENOENT: "{folder} takes no new files",
    errno.ENOTDIR: "{folder} is a file, not a folder",
    errno.EEXIST: "{folder} is a file, not a folder",
    errno.EISDIR: "{it} is a folder, not a file",
    errno.ENAMETOOLONG: "its name is too long",
}


def refusal(path: Path, error: OSError) -> str:
    """The cause of an ``error`` met in writing ``path`` or making its folder; the folder named is the nearest one."""
    cause = _CAUSES.get(error.errno or 0)
    if cause is None:
        return error.strerror or str(error)
    folder = next((parent for parent in path.parents if os.path.exists(parent)), path.anchor)
    if error.errno in _FORBIDDEN and os.path.exists(path) and os.access(folder, os.W_OK):
        return "you may not write it"
    # A run's lock is a file beside it, which can be what is in the way.
    it = "it" if error.filename in (None, str(path), path) else error.filename
    return cause.format(folder=folder, it=it)
