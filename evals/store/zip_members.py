"""Members of a zip file, read within bounds whatever they unpack to; also compressed with Zstandard.

Python's own ``zipfile`` supports Zstandard from 3.14 on, and unpacks a member in steps of any size.
"""

from __future__ import annotations

import copy
import sys
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdDecompressor, ZstdError

from widthwise.core.plain_json import parse
from widthwise.evals.input_file import LARGEST_VALUE

DAMAGE = (OSError, ValueError, EOFError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile, ZstdError)
"""What reading a damaged archive, or one of an unknown kind, raises."""
ZSTANDARD = 93
"""The zip format's number for Zstandard."""
_STEP = 1 << 16


def json_member(archive: zipfile.ZipFile, name: str, *, finite: bool = False) -> Any:
    """The JSON value in a member; one of ``DAMAGE`` for what cannot be read.

    NaN and infinities are read unless ``finite``.
    """
    return parse(read_member(archive, name), finite=finite)


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member's bytes, at most as many as the archive says; if a name occurs twice, the later one's."""
    info = archive.getinfo(name)
    if info.file_size > LARGEST_VALUE:
        raise ValueError(f"{name} would unpack to {info.file_size >> 20} MiB")
    if info.compress_type != ZSTANDARD:
        return archive.read(info)
    data = b"".join(_unpacked(_as_stored(archive, info), info))
    if zlib.crc32(data) != info.CRC or len(data) != info.file_size:
        raise zipfile.BadZipFile(f"{name} is damaged")
    return data


def _as_stored(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The member as stored in the file."""
    raw = copy.copy(info)
    raw.compress_type, raw.file_size = zipfile.ZIP_STORED, info.compress_size
    del raw.CRC  # it belongs to the unpacked bytes
    with archive.open(raw) as file:
        return file.read(LARGEST_VALUE)


def _unpacked(packed: bytes, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """The bytes of all frames in ``packed``, up to one step more than the archive says."""
    size = 0
    while packed and size <= info.file_size:
        frame = ZstdDecompressor()
        while not frame.eof and size <= info.file_size:
            piece = frame.decompress(packed if frame.needs_input else b"", _STEP)
            if not piece and frame.needs_input and not frame.eof:
                raise EOFError(f"{info.filename} ends too early")
            packed, size = b"", size + len(piece)
            yield piece
        packed = frame.unused_data
