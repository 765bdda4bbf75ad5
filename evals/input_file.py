"""Reading files from outside within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.plain_json import parse

LARGEST_VALUE = 1 << 29
"""Size limit in bytes of one JSON value: a problem with thousands of long samples fits."""

LARGEST_UNPACKED = 1 << 27
"""Bytes that any compressed file may unpack to; larger files may unpack to ``MOST_TIMES`` their own size."""

MOST_TIMES = 100
"""Model texts compress to about a tenth of their size; a file made to fill the memory to a thousandth or less."""

_BYTE_ORDERS = (b"\xff\xfe", b"\xfe\xff")
_NO_TEXT = (
    "is not a UTF-8 text file: rows are read from JSON Lines, a JSON list, CSV (.csv or .tsv) and Parquet (.parquet)"
)
_UTF8_MARK = b"\xef\xbb\xbf"


def regular_file(path: Path) -> Path:
    """``path``, if it is a file that can be read to its end; otherwise raises ``UsageError`` that says what it is."""
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder, not a file")
        if path.exists() and not path.is_file():
            raise UsageError(f"{path} is a pipe or a device: save what it gives to a file first")
        if not path.exists():
            raise UsageError(f"{path} does not exist")
    except PermissionError as error:
        raise _out_of_reach(path) from error
    except (OSError, ValueError) as error:  # a name that is too long, or contains a null byte
        raise UsageError(f"{str(path)[:100]!r} is not a file name: {error}") from error
    return path


def is_there(path: Path) -> bool:
    """Whether ``path`` exists; raises ``UsageError`` for something that cannot be a file's name."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except NotADirectoryError as error:
        file = next(parent for parent in path.parents if parent.exists())
        raise UsageError(f"{file} is a file, not a folder: there is no place in it for {path.name}") from error
    except PermissionError as error:
        raise _out_of_reach(path) from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{str(path)[:100]!r} is not a file name: {error}") from error
    return path.exists()


def _out_of_reach(path: Path) -> UsageError:
    return UsageError(f"{path} is out of reach: you may not look into its folder")


def unpacking(path: Path, size: int) -> None:
    """Raise ``UsageError`` if ``size`` bytes are more than a file like this one may unpack to."""
    packed = path.stat().st_size
    if size > max(LARGEST_UNPACKED, MOST_TIMES * packed):
        raise UsageError(
            f"{path} would unpack to {size >> 20} MiB or more, from {packed >> 10} KiB: it seems to be made to "
            "fill the memory; if you trust it, unpack it yourself to JSON Lines"
        )


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON Lines file with their line numbers, from 1; blank lines are skipped.

    Raises ``UsageError``, naming the file and the line, for what cannot be read.
    """
    with regular_file(path).open("rb") as file:
        head = file.peek(64)
        if head.startswith(_BYTE_ORDERS):
            raise UsageError(f"{path} is UTF-16: save it as UTF-8")
        if b"\0" in head[:64]:
            raise UsageError(f"{path} {_NO_TEXT}")
        if head.startswith(_UTF8_MARK):
            file.read(len(_UTF8_MARK))
        number = 0
        while line := file.readline(1 << 16):
            number += 1
            if not line.strip():
                continue
            if not line.endswith(b"\n"):
                if not line.lstrip().startswith(b"{"):
                    raise UsageError(f"{path}, line {number}: not valid JSON (a JSON object is expected)")
                line += file.readline(LARGEST_VALUE)
            if len(line) > LARGEST_VALUE:
                raise UsageError(f"{path}, line {number} is longer than {LARGEST_VALUE >> 20} MiB")
            yield number, _object(path, number, line)


def json_file(path: Path, *, finite: bool = True) -> Any:
    """The value of a JSON file; raises ``ValueError`` for invalid JSON and ``UsageError`` for a file that is too large.

    NaN and infinities are invalid, unless ``finite`` is false.
    """
    size = regular_file(path).stat().st_size
    if size > LARGEST_VALUE:
        raise UsageError(f"{path} is larger than {LARGEST_VALUE >> 20} MiB, too large for one JSON value")
    return parse(path.read_bytes().removeprefix(_UTF8_MARK), finite=finite)


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        row = parse(line)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} {_NO_TEXT}") from error
    except ValueError as error:
        raise UsageError(f"{path}, line {number}: not valid JSON ({error})") from error
    if not isinstance(row, dict):
        raise UsageError(f"{path}, line {number}: a JSON object is expected, not {type(row).__name__}")
    return row
