"""The size to which a Parquet file says its columns unpack; run as a script, for a file that may be hostile.

Arrow ends the whole process for some damaged column descriptions, so these are read in another process.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

_WIDTH = 8
"""Bytes that a value of any type takes at least."""

_SECONDS = 120.0
"""How many seconds the other process may take, even on a busy machine."""


def declared(metadata: Any) -> int:
    """Bytes that, according to the file, its columns unpack to, or would take as numbers."""
    size = 0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for i in range(metadata.num_columns):
            column, width = group.column(i), max(_WIDTH, metadata.schema.column(i).length)
            size += max(column.total_uncompressed_size, column.num_values * width)
    return size


def declared_of(path: Path) -> int:
    """The same for a file of unknown origin. Raises ``ValueError`` if its declaration cannot be read."""
    words = [sys.executable, "-P", __file__, str(path)]
    try:
        ended = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        raise ValueError(f"its columns were not described within {_SECONDS:.0f} seconds") from None
    if ended.returncode or not ended.stdout.strip().isdigit():
        raise ValueError((ended.stderr.strip().splitlines() or ["its columns are not described"])[-1])
    return int(ended.stdout)


if __name__ == "__main__":
    from pyarrow.parquet import ParquetFile

    print(declared(ParquetFile(sys.argv[1]).metadata))
