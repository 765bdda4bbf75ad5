"""Files that are replaced as a whole: a reader, a full disk or a kill never meets half a file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from widthwise.core.errors import UsageError
from widthwise.evals.refusal import refusal


@contextmanager
def replacement(target: str | Path, mode: int = 0o666) -> Iterator[Path]:
    """A new file beside ``target``, to be written; it replaces the target when the block ends without an error.

    Otherwise the target stays as it was. A new target gets the permissions ``mode``, as far as the umask allows. What
    is not a regular file (``/dev/stdout``, a pipe) is written directly. Raises ``UsageError`` if the folder or the disk
    does not allow it.
    """
    path = Path(os.path.realpath(target))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            yield path
            return
        beside = path.with_name(f".{path.name[:100]}.{token_hex(4)}.part")
        os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
        try:
            yield beside
            _take_place(beside, path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {target}: {refusal(path, error)}") from error


def _take_place(beside: Path, path: Path) -> None:
    if path.exists():
        shutil.copymode(path, beside)
    _flush(beside)
    os.replace(beside, path)
    if os.name == "posix":
        _flush(path.parent)


def _flush(path: Path) -> None:
    """Have the disk keep a file's content, or a folder's names, through a power failure."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
