"""What the columns of a run file may contain: SQLite itself stores any value in any column."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from functools import cache

_TABLE = re.compile(r"\bFROM (\w+)")
_PYTHON = {"TEXT": (str,), "INTEGER": (int,), "REAL": (float, int), "BLOB": (bytes,)}

Types = Mapping[str, tuple[type, ...]]


@cache
def column_types(schema: str) -> Mapping[str, Types]:
    """The types of each table's columns under ``schema``."""
    db = sqlite3.connect(":memory:")
    try:
        db.executescript(schema)
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: _of_table(db, table) for table in tables}
    finally:
        db.close()


def _of_table(db: sqlite3.Connection, table: str) -> Types:
    columns = db.execute(f"PRAGMA table_info({table})").fetchall()
    return {
        name: _PYTHON[kind] + (() if not_null or key else (type(None),)) for _, name, kind, not_null, _, key in columns
    }


def check_rows(query: str, rows: Sequence[sqlite3.Row], schema: str) -> None:
    """Raise ``ValueError`` for a value whose type is not its column's."""
    table = _TABLE.search(query)
    types = column_types(schema).get(table[1] if table else "")
    if types is None or not rows:
        return
    columns = [(i, name, types[name]) for i, name in enumerate(rows[0].keys()) if name in types]
    for row in rows:
        for i, name, expected in columns:
            if type(row[i]) not in expected:
                raise ValueError(f"the column {name} holds a value of another type")


def check_schema(db: sqlite3.Connection, schema: str) -> None:
    """Raise ``ValueError`` for a file with anything but tables, or with a required table or column missing.

    A view, a trigger or a computed column is a program that would run on reading.
    """
    for kind, name, sql in db.execute("SELECT type, name, sql FROM sqlite_master"):
        if kind not in ("table", "index") or (kind == "index" and sql is not None) or _computes(kind, sql):
            raise ValueError(f"it holds a {kind} {str(name)[:40]!r} that no run file has")
    for table, types in column_types(schema).items():
        found = {row[1]: row[6] for row in db.execute(f"PRAGMA table_xinfo({table})")}
        if any(found.get(column) != 0 for column in types):
            raise ValueError(f"its table {table} is missing, or lacks a column")


def _computes(kind: str, sql: object) -> bool:
    return kind == "table" and not str(sql).upper().startswith("CREATE TABLE")
