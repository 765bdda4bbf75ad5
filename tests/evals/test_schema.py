"""The tables of run files change only together with their format number."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.evals.made_runs import made_run
from widthwise.core.errors import UsageError
from widthwise.evals.store import database, tables
from widthwise.evals.store.store import Store

# For a new format: raise SCHEMA_VERSION, migrate older files or raise OLDEST_VERSION, and add the new digest here.
DIGESTS = {1: "f6e8d2074bdd0bbb", 2: "e06a3f91f7ffe4e6"}


def test_changed_tables_have_a_version_of_their_own() -> None:
    sql = " ".join(f"{tables.SCHEMA} {tables.SCORES}".split())
    digest = hashlib.sha256(sql.encode()).hexdigest()[:16]
    assert DIGESTS.get(database.SCHEMA_VERSION) == digest, "tables changed: see CONTRIBUTING.md on SCHEMA_VERSION"
    assert max(DIGESTS) == database.SCHEMA_VERSION >= database.OLDEST_VERSION


def test_a_file_that_is_too_old_says_what_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made_run(tmp_path / "a.db", [["1"]])
    monkeypatch.setattr(database, "SCHEMA_VERSION", 4)
    monkeypatch.setattr(database, "OLDEST_VERSION", 3)
    with pytest.raises(UsageError, match=r"older widthwise \(file format 2, this one reads 3 to 4\): export it with"):
        Store.read(path)
