"""Tables as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.evals.replacement import replacement


def write_table(table: Any, path: str | Path) -> None:
    """Write a ``pyarrow.Table`` as CSV or Parquet, by the name's extension; unknown values are empty or null."""
    target = Path(path)
    if target.suffix not in (".csv", ".parquet"):
        raise UsageError(f"cannot write {target}: a table's name ends in .csv or .parquet")
    with replacement(target) as file:
        if target.suffix == ".csv":
            from pyarrow import csv

            csv.write_csv(table, file)
        else:
            from pyarrow import parquet

            parquet.write_table(table, file)
