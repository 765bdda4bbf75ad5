"""Connections to the SQLite file of a run, as a writer or a reader, whatever a killed process left beside it."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

_log = logging.getLogger(__name__)

_LARGEST_VALUE = 1 << 29
"""Bytes of one value in a run file."""


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """Raises ``sqlite3.Error`` for what is no database, or cannot be opened."""
    mode = "mode=rw" if write or _is_half_written(path) else "mode=ro"
    if _lacks_log(path):
        _log.warning(
            "%s is incomplete: it was copied from a run in progress without %s-wal, which holds the latest writes",
            path,
            path.name,
        )
        # If nothing writes it and there is no log beside it, reading needs no other file and leaves none.
        mode = mode if write else "immutable=1"
    place = f"{path.absolute().as_uri()}?{mode}"
    # SQLite lets several threads take turns: in a notebook a run is read by a helper's thread.
    db = sqlite3.connect(place, uri=True, timeout=30, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST_VALUE)
    try:
        if write:
            # A killed process loses nothing, a power failure at most the last transactions.
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
        if not write:
            db.execute("PRAGMA query_only = ON")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _is_half_written(path: Path) -> bool:
    """Whether a process was killed while it created or closed the file: SQLite then rolls back what was half done."""
    journal = path.with_name(path.name + "-journal")
    return journal.exists() and journal.stat().st_size > 0


def _lacks_log(path: Path) -> bool:
    """Whether a file's header promises a write-ahead log that is missing."""
    try:
        with path.open("rb") as file:
            header = file.read(20)
    except OSError:
        return False
    return header[18:20] == b"\x02\x02" and not path.with_name(path.name + "-wal").exists()
