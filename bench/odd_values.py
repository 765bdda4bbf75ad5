"""Values and statements that no run file should hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ODD: Sequence[Any] = (None, True, -1, 0, 2**62, 2**70, 0.5, 1e308, "", "x", "0.1", "\x1b[2J", "9" * 400, [], [[]], {},
                      {"a": 1}, [None], ["x"], [1, 2], "x" * 100_000)  # fmt: skip
CELLS: Sequence[Any] = (None, -1, 0, 7, 2**62, 0.5, "", "x", "0", "0.0.0", "{}", "[]", "[1]", "null", "NaN", '{"a":',
                        "[" * 5000, b"", b"\xff\xfe", b"<i8:3\nabc", b"<f4:-1\n", b"|u1:1\n\x00", b"|u1:2,2\nabcd",
                        "x" * 100_000)  # fmt: skip
ADDED = (
    "CREATE VIEW v AS WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT x FROM r",
    "CREATE TRIGGER t AFTER UPDATE ON problems BEGIN DELETE FROM problems; END",
    "DROP TABLE answers",
    "ALTER TABLE problems RENAME TO other",
    "CREATE TABLE extra (x)",
    "PRAGMA user_version = 9999",
    "PRAGMA application_id = 1",
)
