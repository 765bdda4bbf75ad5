"""Rows of Parquet files, with a limit on what they unpack to, since a small file may unpack to a huge one.

Encodings repeat a value for one bit per row, and compression packs a thousand zeros into a byte. So strings stay
references into their dictionaries until their total size is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.evals.input_file import regular_file, unpacking
from widthwise.evals.suites.parquet_sizes import declared, declared_of

_ROWS = 128
"""Rows per batch: what is read before it is counted."""

_OWN = Path(__file__).parent
"""Files of the package itself are trusted to describe themselves."""


def parquet_rows(path: Path, leave: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows with their numbers, from 1, without the columns in ``leave``.

    Raises ``UsageError`` for what cannot be read or would unpack too far.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(regular_file(path)) as plain:
            metadata = plain.metadata
            unpacking(path, declared(metadata) if path.is_relative_to(_OWN) else declared_of(path))
            leaves = [metadata.schema.column(i) for i in range(metadata.num_columns)]
            strings = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
            with pyarrow.parquet.ParquetFile(path, read_dictionary=strings) as referring:
                yield from enumerate(_counted(path, _batches(plain, referring, leave)), 1)
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise UsageError(f"{path} is not a readable Parquet file; it may be cut short ({str(error)[:200]})") from error


def _batches(plain: Any, referring: Any, leave: Sequence[str]) -> Iterator[Any]:
    """The file's rows in batches, with their strings as references if Arrow can read them so.

    It cannot if a list holds strings of several dictionaries: such rows are read one by one, and none of them can hold
    more than 2 GiB of text in a list.
    """
    import pyarrow

    kept = [name for name in plain.schema_arrow.names if name not in leave]
    for group in range(plain.num_row_groups):
        try:
            yield from list(referring.iter_batches(_ROWS, row_groups=[group], columns=kept))
        except pyarrow.ArrowNotImplementedError:
            yield from plain.iter_batches(1, row_groups=[group], columns=kept)


def _counted(path: Path, batches: Iterable[Any]) -> Iterator[dict[str, Any]]:
    size = 0
    for batch in batches:
        size += sum(_spelled_out(column) for column in batch.columns)
        unpacking(path, size)
        yield from batch.to_pylist()


def _spelled_out(array: Any) -> int:
    """Bytes of an Arrow array with every reference in it replaced by what it refers to."""
    import pyarrow
    import pyarrow.compute

    if isinstance(array, pyarrow.DictionaryArray):
        lengths = pyarrow.compute.binary_length(array.dictionary)
        return pyarrow.compute.sum(lengths.take(array.indices)).as_py() or 0
    if isinstance(array, pyarrow.StructArray):
        return sum(map(_spelled_out, array.flatten()))
    if isinstance(array, pyarrow.MapArray):
        return _spelled_out(array.keys) + _spelled_out(array.items)
    if isinstance(array, pyarrow.ListArray | pyarrow.LargeListArray):
        return int(array.nbytes and _spelled_out(array.flatten()))
    return int(array.nbytes)
