"""The SQLite file of a run store: opening, locking, and its failures as sentences."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from widthwise.core.errors import UsageError, WidthwiseError
from widthwise.evals.input_file import regular_file
from widthwise.evals.refusal import refusal
from widthwise.evals.store.connection import connect
from widthwise.evals.store.row_types import check_rows, check_schema
from widthwise.evals.store.tables import FACTS, SCHEMA, SCORES

_log = logging.getLogger(__name__)

APPLICATION_ID = 0x77777274
"""Marks a SQLite file as a run of widthwise ("wwrt")."""

SCHEMA_VERSION = 2
"""Raised whenever a table or the meaning of a column changes; older files are then migrated here, or refused."""

OLDEST_VERSION = 1
"""The oldest format of a run file that is still read."""

PRIVATE = 0o600
"""Permissions of a new run file: it contains the user's own problems, and everything models said about them."""

_LOCK_SECONDS = 0.2
"""How many seconds to wait for a lock: as long as its last holder may take to release it."""

_DAMAGED = ("malformed", "decode to UTF-8", "too big", "interrupted", "no such table", "no such column", "corrupt")
_LONGEST = 200
"""How many characters of SQLite's own message are shown: it quotes what it cannot read."""

_STEPS = 100_000
"""How many steps SQLite's machine may take between two checks of the total."""


class StoreError(WidthwiseError):
    """A run file could not be read or written; what it already holds is safe."""


class NotBegun(UsageError):
    """A run file that holds no run yet."""


def not_begun(path: Path) -> NotBegun:
    return NotBegun(f"{path} holds no run yet: it was stopped as it began, and the same command starts it again")


class Database:
    """One connection to a run file.

    A writer holds a lock until ``close``, so that two processes never write one run; readers need no lock and see the
    last finished transaction. Every failure is a ``UsageError`` (this is not a usable run file) or a ``StoreError``
    (disk full, damaged, in use).
    """

    def __init__(self, path: Path, *, write: bool, create: bool = False) -> None:
        self.path = path
        self._process = os.getpid()
        self._lock: BaseFileLock | None = None
        if not create or os.path.lexists(path):
            regular_file(path)
        if write:
            self._take_lock()
        try:
            if create:
                with _writing(path):
                    _create(path)
            with self._explained():
                self.connection = connect(path, write=write)
                self._identity = _identity(path)
        except BaseException:
            self._release_lock()
            raise
        try:
            with self._explained():
                self._prepare(create)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All statements inside are stored together, or none."""
        self._check_place()
        with self._explained():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled the transaction back already.
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """The query's rows; their values have the types of their columns."""
        self._check_place()
        with self._explained(), self.decoding():
            self.connection.set_progress_handler(_Patience(self.path), _STEPS)
            try:
                rows = self.connection.execute(query, values).fetchall()
            finally:
                self.connection.set_progress_handler(None, 0)
            check_rows(query, rows, SCHEMA + SCORES)
            return rows

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """Errors inside are the file's fault: it contains what no run file does."""
        try:
            yield
        except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
            raise damaged(self.path, f"{error}") from error

    @property
    def has_scores(self) -> bool:
        """Whether the file has a table of the reward model's scores."""
        return bool(self.rows("SELECT 1 FROM sqlite_master WHERE name = 'scores'"))

    def close(self) -> None:
        """Fold the write-ahead log into the file and release it."""
        if self._process != os.getpid():
            return  # a forked process does not own its parent's lock and connection
        with suppress(sqlite3.Error):
            if self._lock is not None:
                # At rest a run is one plain file, which can be read without any other file; not so while a process
                # reads it.
                self.connection.execute("PRAGMA busy_timeout = 0")
                self.connection.execute("PRAGMA journal_mode = DELETE")
        self.connection.close()
        self._release_lock()

    def _prepare(self, create: bool) -> None:
        db = self.connection
        is_new = not _pragma(db, "application_id") and not list(db.execute("SELECT 1 FROM sqlite_master LIMIT 1"))
        if is_new and create:
            header = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
            db.executescript(f"BEGIN; {header} {SCHEMA} COMMIT;")
        if is_new and not create and not self.path.stat().st_size:
            raise not_begun(self.path)
        if _pragma(db, "application_id") != APPLICATION_ID:
            raise UsageError(f"{self.path} is not a widthwise run file")
        version = _pragma(db, "user_version")
        _check_version(self.path, version)
        with self.decoding():
            check_schema(db, SCHEMA if version > 1 else SCHEMA.replace(FACTS, ""))
        if self._lock is not None:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(SCORES)
            if version == 1:
                self._add_facts()

    def _add_facts(self) -> None:
        """Upgrade a file of format 1 to format 2, which records that its first segments have no facts."""
        with self.transaction() as db:
            db.execute(f"ALTER TABLE segments ADD COLUMN{FACTS.rstrip(',')}")
            db.execute("INSERT OR REPLACE INTO manifest VALUES ('began_as_format', '1')")
            db.execute("PRAGMA user_version = 2")
        _log.info("%s now has format 2: what its traces waited for before is unknown", self.path)

    @property
    def has_facts(self) -> bool:
        """Whether the file has, for every segment, what it waited for."""
        began = self.rows("SELECT value FROM manifest WHERE key = 'began_as_format'")
        return _pragma(self.connection, "user_version") > 1 and not began

    def _check_place(self) -> None:
        """A writer's file must still be the one with its name: whatever is written to a removed file is lost."""
        if self._process != os.getpid():
            raise StoreError(f"{self.path} was opened before this process was forked: open it here")
        if self._lock is not None and _identity(self.path) != self._identity:
            raise StoreError(
                f"{self.path} was removed, renamed or replaced while this run was writing it: nothing more can be "
                "stored; put it back and run the same command again"
            )

    def _take_lock(self) -> None:
        """Lock out other writers, with a lock on a separate file: the system releases it when the process dies."""
        lock = FileLock(self._lock_path, timeout=_LOCK_SECONDS, mode=PRIVATE, thread_local=False)
        with _writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _create(self._lock_path)  # where that is impossible, the lock would only wait
            try:
                lock.acquire()
            except Timeout as error:
                raise StoreError(f"{self.path} is in use by another widthwise process: wait for it") from error
        self._lock = lock

    def _release_lock(self) -> None:
        """Only the lock's holder removes its file; a process that had it open does not get the lock (filelock)."""
        if self._lock is not None:
            with suppress(OSError):  # systems that do not remove open files leave it
                self._lock_path.unlink(missing_ok=True)
            self._lock.release()
            self._lock = None

    @property
    def _lock_path(self) -> Path:
        return self.path.with_name(self.path.name + "-lock")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _explanation(self.path, error) from error
        except UnicodeError as error:  # SQLite's own message quotes the file
            raise damaged(self.path, str(error)) from error


class _Patience:
    """Ends a query that takes more steps than a file of this size can need: a damaged file may contain loops."""

    def __init__(self, path: Path) -> None:
        log = path.with_name(path.name + "-wal")
        self._most = 10**7 + 16 * sum(file.stat().st_size for file in (path, log) if file.exists())
        self._steps = 0

    def __call__(self) -> bool:
        self._steps += _STEPS
        return self._steps > self._most


def _check_version(path: Path, version: int) -> None:
    if version > SCHEMA_VERSION:
        raise UsageError(
            f"{path} was written by a newer widthwise (file format {version}, this one knows {SCHEMA_VERSION}): "
            "upgrade to read it"
        )
    if version < OLDEST_VERSION:
        raise UsageError(
            f"{path} was written by an older widthwise (file format {version}, this one reads {OLDEST_VERSION} to "
            f"{SCHEMA_VERSION}): export it with the version that wrote it, or evaluate again"
        )


def _create(path: Path) -> None:
    """An empty file that only its owner can read, unless the file exists."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE))


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Errors of the system inside mean that ``path`` cannot be written."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"cannot write {path}: {refusal(path, error)}") from error


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file a path refers to now."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])


def _explanation(path: Path, error: sqlite3.Error) -> WidthwiseError:
    said = str(error)
    if "not a database" in said:
        return UsageError(f"{path} is not a widthwise run file")
    if "full" in said:
        return StoreError(f"the disk is full: {path} keeps what it holds; make room and run the same command again")
    if "disk I/O" in said:
        return StoreError(f"the disk refuses to read or write {path}: it keeps what it holds; is there room left?")
    if any(words in said for words in _DAMAGED):
        return damaged(path, said)
    if "locked" in said:
        return StoreError(f"{path} is in use by another process: wait for it")
    if "readonly" in said or "unable to open" in said:
        return StoreError(f"{path} cannot be opened ({said}): {_barrier(path)}")
    return StoreError(f"{path} cannot be used: {said[:_LONGEST]}")


def _barrier(path: Path) -> str:
    """Why a file that exists cannot be opened, as far as permissions tell."""
    for allowed, barrier in ((os.R_OK, "you may not read it"), (os.W_OK, "you may not write it")):
        if not os.access(path, allowed):
            return barrier
    return f"does {path.parent} allow it?"


def damaged(path: Path, what: str) -> StoreError:
    """The error for a file that contains what no run file does."""
    return StoreError(f"{path} is damaged or cut short ({what[:_LONGEST]}): restore a copy or choose another file")
