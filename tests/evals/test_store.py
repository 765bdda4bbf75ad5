"""The run store: what it keeps, what it refuses, and that nothing stored is lost."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from widthwise.core.backend import TokenStats, Usage
from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.core.session.ledger import Ledger
from widthwise.core.trace.trace import Segment, Trace
from widthwise.evals.input_file import is_there, regular_file
from widthwise.evals.store import database
from widthwise.evals.store.arrays import pack, unpack
from widthwise.evals.store.configuration import digest
from widthwise.evals.store.database import SCHEMA_VERSION, NotBegun, StoreError
from widthwise.evals.store.outcome import Leaf, Outcome
from widthwise.evals.store.store import Store, compare

CONFIGURATION = {"suite": "s", "model": "m", "strategy": "x", "seed": 0}
PROBLEMS = [Problem("p0", "one?", "1", {"level": 2}), Problem("p1", "two?", "2")]
ROOT = Trace((0,), Segment("prompt", np.array([1, 2]), "one?"))


def sampled(number: int, tokens: int = 5, finish: str = "stop") -> Trace:
    stats = TokenStats(
        np.full(tokens, -0.5, np.float32), np.ones((tokens, 2), np.int64), np.ones((tokens, 2), np.float32)
    )
    ids, metadata = np.arange(tokens) + 300, {"reward": 1.5}
    segment = Segment("sampled", ids, "x" * tokens, stats, finish, "\n", number, Usage(1, 1), "digest", metadata)
    return Trace((0, number), segment, ROOT, tokens)


def done(*traces: Trace) -> Outcome:
    leaves = tuple(Leaf(t.id, t.finish, t.tokens, "1", True, 0) for t in traces)
    return Outcome(PROBLEMS[0], "done", "1", True, trace=(0, 0), leaves=leaves, ledger=Ledger(sampled=10))


def begin(path: Path, **changes: object) -> Store:
    return Store.begin(path, {**CONFIGURATION, **changes}, PROBLEMS, {"versions": {"widthwise": "test"}})


# -- what it keeps ---------------------------------------------------------------------------------------------


def test_a_recorded_generation_is_served_again(tmp_path: Path) -> None:
    trace = sampled(3)
    with begin(tmp_path / "a.db") as store:
        store.record("p0", trace)
    with begin(tmp_path / "a.db") as store:
        again = store.recorded("p0", (0, 3), "digest", 3)
        assert again is not None
        assert again.token_ids.tolist() == trace.segment.token_ids.tolist()
        assert (again.text, again.finish, again.reason, again.usage) == ("xxxxx", "stop", "\n", Usage(1, 1))
        assert again.stats is not None
        assert again.stats.top_ids is not None
        assert again.stats.top_ids.shape == (5, 2)
        assert again.metadata == {"reward": 1.5}


@pytest.mark.parametrize("place", [("p1", (0, 3), "digest", 3), ("p0", (0, 2), "digest", 3), ("p0", (0, 3), "other", 3),
                                   ("p0", (0, 3), "digest", 4)])  # fmt: skip
def test_another_request_is_not_served(tmp_path: Path, place: tuple[str, tuple[int, ...], str, int]) -> None:
    with begin(tmp_path / "a.db") as store:
        store.record("p0", sampled(3))
        assert store.recorded(*place) is None


def test_a_finished_problem_is_rebuilt(tmp_path: Path) -> None:
    traces = [sampled(0), sampled(1, 3, "pruned")]
    with begin(tmp_path / "a.db") as store:
        store.finish(done(*traces), traces)
    with Store.read(tmp_path / "a.db") as store:
        assert store.manifest["configuration"] == CONFIGURATION
        assert store.problems() == PROBLEMS
        first, second = store.outcomes()
        assert replace(first, fields={}) == done(*traces)
        assert (second.state, second.answer, second.leaves) == ("open", None, ())
        a, b = store.traces("p0")
        assert (a.id, b.id, b.finish, a.parent is b.parent) == ((0, 0), (0, 1), "pruned", True)
        assert a.token_ids.tolist() == [1, 2, 300, 301, 302, 303, 304]
        assert a.completion == "xxxxx"


def test_what_an_interrupted_attempt_did_and_the_last_did_not_is_forgotten(tmp_path: Path) -> None:
    with begin(tmp_path / "a.db") as store:
        for number in range(3):
            store.record("p0", sampled(number))
        store.finish(done(sampled(0)), [sampled(0)])
        assert store.recorded("p0", (0, 0), "digest", 0) is not None
        assert store.recorded("p0", (0, 2), "digest", 2) is None


def test_a_failed_problem_keeps_its_generations_and_its_reason(tmp_path: Path) -> None:
    with begin(tmp_path / "a.db") as store:
        store.record("p0", sampled(0))
        store.finish(Outcome(PROBLEMS[0], "error", errors=("the server is down",)), [])
        assert store.outcome("p0").errors == ("the server is down",)
        assert store.recorded("p0", (0, 0), "digest", 0) is not None
        store.finish(done(sampled(0)), [sampled(0)])
        assert store.outcome("p0").errors == ()


def test_trace_ids_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    traces = [sampled(n) for n in range(12)]
    with begin(tmp_path / "a.db") as store:
        store.finish(done(*traces), traces)
        assert [t.id[1] for t in store.traces("p0")] == list(range(12))


def test_compare_names_what_differs_and_nothing_else(tmp_path: Path) -> None:
    for name, tokens, cached in (("a", 5, 0), ("b", 5, 7), ("c", 6, 0)):
        with begin(tmp_path / f"{name}.db") as store:
            trace = sampled(0, tokens)
            segment = replace(trace.segment, usage=Usage(cached, 0))
            trace = replace(trace, segment=segment)
            store.finish(replace(done(trace), ledger=Ledger(prompt_cached=cached, seconds=cached)), [trace])
    with Store.read(tmp_path / "a.db") as a, Store.read(tmp_path / "b.db") as b, Store.read(tmp_path / "c.db") as c:
        assert compare(a, b) == []
        assert {line[:10] for line in compare(a, c)} == {"- segments", "+ segments", "- traces {", "+ traces {"}


@pytest.mark.parametrize(
    "values",
    [np.array([], np.int64), np.array([0, 255]), np.array([256]), np.array([-1, 2**62]), np.array([[1], [2]]),
     np.array([0.5, np.nan], np.float32)],
)  # fmt: skip
def test_arrays_come_back(values: np.ndarray) -> None:  # type: ignore[type-arg]
    again = unpack(pack(values))
    assert again.dtype == values.dtype
    assert again.shape == values.shape
    assert np.array_equal(again, values, equal_nan=values.dtype.kind == "f")


def test_a_configuration_is_named_by_its_content() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": (2,), "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


# -- what it refuses -------------------------------------------------------------------------------------------


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    begin(tmp_path / "a.db").close()
    with pytest.raises(UsageError, match=r"seed: 0 -> 7; limit: none -> 5.*--run"):
        begin(tmp_path / "a.db", seed=7, limit=5)
    begin(tmp_path / "a.db").close()


def test_a_foreign_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("not a database at all, but long enough to have a header" * 10)
    with sqlite3.connect(tmp_path / "other.db") as db:
        db.execute("CREATE TABLE mine (x)")
    db.close()
    for path in (text, tmp_path / "other.db"):
        before = path.read_bytes()
        for way in (begin, Store.read, Store.edit):
            with pytest.raises(UsageError, match="not a widthwise run file"):
                way(path)
        assert path.read_bytes() == before


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        Store.read(tmp_path / "none.db")
    with pytest.raises(UsageError, match="is a folder"):
        Store.read(tmp_path)


def test_a_newer_file_asks_for_an_upgrade(tmp_path: Path) -> None:
    begin(tmp_path / "a.db").close()
    with sqlite3.connect(tmp_path / "a.db") as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    with pytest.raises(UsageError, match="newer widthwise"):
        Store.read(tmp_path / "a.db")


def test_a_truncated_file_is_said_to_be_damaged(tmp_path: Path) -> None:
    with begin(tmp_path / "a.db") as store:
        store.finish(done(*map(sampled, range(50))), [sampled(n, 500) for n in range(50)])
    content = (tmp_path / "a.db").read_bytes()
    (tmp_path / "a.db").write_bytes(content[: len(content) // 2])
    with pytest.raises(StoreError, match="damaged or cut short"), Store.read(tmp_path / "a.db") as store:
        list(store.dump())


def test_two_runners_do_not_share_a_file(tmp_path: Path) -> None:
    holder = (
        "import sys, time; from pathlib import Path; from widthwise.evals.store.store import Store; "
        f"s = Store.edit(Path({str(tmp_path / 'a.db')!r})); print('held', flush=True); time.sleep(1000)"
    )
    begin(tmp_path / "a.db").close()
    process = subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match="in use by another"):
            begin(tmp_path / "a.db")
        with Store.read(tmp_path / "a.db") as store:  # reading is allowed
            assert store.problems() == PROBLEMS
    finally:
        process.kill()
        process.communicate()
    begin(tmp_path / "a.db").close()  # the lock ended with its holder


def test_a_lock_that_is_let_go_between_opening_and_locking_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that opened the lock file just before its removal must not hold a lock that no other process sees."""
    fcntl = pytest.importorskip("fcntl", reason="this system locks files otherwise")
    first, lock = begin(tmp_path / "a.db"), fcntl.flock

    def late(fd: int, operation: int) -> None:
        monkeypatch.undo()
        first.close()
        lock(fd, operation)

    monkeypatch.setattr(database, "_LOCK_SECONDS", 60)
    monkeypatch.setattr(fcntl, "flock", late)
    with begin(tmp_path / "a.db"), pytest.raises(StoreError, match="in use by another"):
        begin(tmp_path / "a.db")


def test_at_rest_a_run_is_one_file(tmp_path: Path) -> None:
    begin(tmp_path / "a.db").close()
    with Store.read(tmp_path / "a.db") as store:
        store.problems()
    assert [p.name for p in tmp_path.iterdir()] == ["a.db"]


def test_a_full_disk_loses_nothing_that_was_stored(tmp_path: Path) -> None:
    store = begin(tmp_path / "a.db")
    store.record("p0", sampled(0))
    pages = store._db.connection.execute("PRAGMA page_count").fetchone()[0]
    store._db.connection.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(StoreError, match="the disk is full"):
        store.finish(done(*map(sampled, range(50))), [sampled(n, 500) for n in range(50)])
    with pytest.raises(StoreError, match="the disk is full"):
        store.record("p0", sampled(1, 100_000))
    store.close()
    with begin(tmp_path / "a.db") as again:
        assert again.outcome("p0").state == "open"
        assert again.recorded("p0", (0, 0), "digest", 0) is not None
        again.finish(done(sampled(0)), [sampled(0)])


def test_a_really_full_disk(tmp_path: Path) -> None:
    """A process's file-size limit stands in for a full disk: SQLite itself sees the failing write."""
    script = """
import resource, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_store import begin, sampled, StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = begin(Path(sys.argv[1]))
store.record("p0", sampled(0))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    for n in range(1, 100):
        store.record("p0", sampled(n, 2000))
except StoreError as error:
    print(n, error)
"""
    arguments = [sys.executable, "-c", script, str(tmp_path / "a.db"), str(Path(__file__).parent)]
    said = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    assert "the disk" in said
    stored = int(said.split()[0])
    assert stored > 2
    with begin(tmp_path / "a.db") as store:
        assert all(store.recorded("p0", (0, n), "digest", n) for n in range(stored))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no folder that takes no files")
@pytest.mark.parametrize("file", ["a.db", "nowhere/a.db"])
def test_a_folder_that_takes_no_files_is_named(file: str) -> None:
    with pytest.raises(StoreError, match=f"cannot write /proc/{file}: /proc takes no new files"):
        begin(Path("/proc") / file)


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (errno.EACCES, "you may not write in {folder}"),
        (errno.EROFS, "{folder} is read-only"),
        (errno.ENOSPC, "the disk is full"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
@pytest.mark.parametrize("refused", ["a.db-lock", "a.db"])
def test_what_refuses_a_new_run_is_named(
    refused: str, number: int, cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def refusing(path: Any, *rest: Any, **more: Any) -> int:
        if Path(path).name == refused:
            raise OSError(number, os.strerror(number), str(path))
        return opened(path, *rest, **more)

    monkeypatch.setattr(os, "open", refusing)
    with pytest.raises(StoreError) as error:
        begin(tmp_path / "a.db")
    assert str(error.value) == f"cannot write {tmp_path / 'a.db'}: {cause.format(folder=tmp_path)}"
    monkeypatch.undo()
    begin(tmp_path / "a.db").close()  # and left nothing in the way


def test_a_folder_in_the_place_of_the_lock_is_named(tmp_path: Path) -> None:
    """Before, the run itself was said to be a folder."""
    (tmp_path / "a.db-lock").mkdir()
    with pytest.raises(StoreError) as error:
        begin(tmp_path / "a.db")
    assert str(error.value) == f"cannot write {tmp_path / 'a.db'}: {tmp_path / 'a.db-lock'} is a folder, not a file"


def test_where_the_folder_may_be_written_it_is_the_run_that_may_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's run in progress, in a folder for all: its lock cannot be opened."""
    begin(tmp_path / "a.db").close()

    def refusing(*_: Any) -> NoReturn:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refusing)
    with pytest.raises(StoreError, match=r"cannot write .*a\.db: you may not write it"):
        begin(tmp_path / "a.db")


def test_a_file_that_may_not_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(tmp_path / "a.db").close()
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    monkeypatch.setattr(database, "connect", lambda path, *, write: _readonly())
    with pytest.raises(StoreError, match=r"a\.db cannot be opened \(.*\): you may not write it"):
        begin(tmp_path / "a.db")


def _readonly() -> NoReturn:
    raise sqlite3.OperationalError("attempt to write a readonly database")


def test_a_file_out_of_reach_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(self: Path, **_: Any) -> NoReturn:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    for looked_at in ("is_dir", "lstat"):
        monkeypatch.setattr(Path, looked_at, refusing)
    for look in (regular_file, is_there):
        with pytest.raises(UsageError, match=r"a\.db is out of reach: you may not look into its folder"):
            look(tmp_path / "a.db")


def test_a_run_can_be_read_where_nothing_can_be_written(tmp_path: Path) -> None:
    begin(tmp_path / "a.db").close()
    (tmp_path / "frozen").mkdir()
    shutil.copy(tmp_path / "a.db", tmp_path / "frozen" / "a.db")
    (tmp_path / "frozen").chmod(0o500)
    try:
        with Store.read(tmp_path / "frozen" / "a.db") as store:
            assert store.problems() == PROBLEMS
    finally:
        (tmp_path / "frozen").chmod(0o700)


# -- the file that is named --------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["removed", "renamed", "replaced"])
def test_a_file_that_goes_away_is_noticed(tmp_path: Path, what: str) -> None:
    """Before, writing silently continued, into a file that could no longer be found."""
    path = tmp_path / "a.db"
    store = begin(path)
    store.record("p0", sampled(0))
    if what == "removed":
        path.unlink()
    else:
        path.rename(tmp_path / "elsewhere.db")
    if what == "replaced":
        shutil.copy(tmp_path / "elsewhere.db", path)
    for write in (lambda: store.record("p0", sampled(1)), store.problems, lambda: store.end_attempt(1.0)):
        with pytest.raises(StoreError, match=r"a\.db was removed, renamed or replaced"):
            write()
    store.close()
    if what == "renamed":
        with Store.read(tmp_path / "elsewhere.db") as found:
            assert found.recorded("p0", (0, 0), "digest", 0) is not None


def test_a_new_run_file_is_its_owners_alone(tmp_path: Path) -> None:
    begin(tmp_path / "a.db").close()
    assert stat.S_IMODE((tmp_path / "a.db").stat().st_mode) == 0o600
    (tmp_path / "a.db").chmod(0o644)
    begin(tmp_path / "a.db").close()
    assert stat.S_IMODE((tmp_path / "a.db").stat().st_mode) == 0o644


def test_a_copy_without_its_log_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "copy").mkdir()
    begin(tmp_path / "a.db").close()
    with begin(tmp_path / "a.db") as store:
        store.record("p0", sampled(0))
        shutil.copy(tmp_path / "a.db", tmp_path / "copy" / "a.db")
    for way in (Store.read, begin):
        caplog.clear()
        with way(tmp_path / "copy" / "a.db") as copy:
            assert copy.problems() == PROBLEMS
            assert copy.recorded("p0", (0, 0), "digest", 0) is None
        assert "incomplete: it was copied from a run in progress without a.db-wal" in caplog.text
        assert os.listdir(tmp_path / "copy") == ["a.db"]
    caplog.clear()
    Store.read(tmp_path / "copy" / "a.db").close()
    assert caplog.text == ""


def test_a_run_that_began_in_no_more_than_name_can_begin_again(tmp_path: Path) -> None:
    (tmp_path / "a.db").touch()
    with pytest.raises(NotBegun, match="holds no run yet"):
        Store.read(tmp_path / "a.db")
    with begin(tmp_path / "a.db") as store:
        assert store.problems() == PROBLEMS
        assert not store.is_finished(CONFIGURATION)


@pytest.mark.parametrize("begun", [True, False])
def test_what_a_kill_left_half_written_is_taken_back_by_readers_too(tmp_path: Path, *, begun: bool) -> None:
    """Killed as it made or closed the file: reading it ended in "attempt to write a readonly database"."""
    path, killed = tmp_path / "a.db", tmp_path / "killed.db"
    if begun:
        Store.begin(path, {"suite": "s"}, [Problem("p", "1?", "1")]).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size = 1")
        db.execute("BEGIN IMMEDIATE")
        db.execute("CREATE TABLE half (x)")
        db.executemany("INSERT INTO half VALUES (?)", [("x" * 4000,)] * 99)
        shutil.copy(path, killed)
        shutil.copy(tmp_path / "a.db-journal", tmp_path / "killed.db-journal")
    if begun:
        with Store.read(killed) as store:
            assert [problem.id for problem in store.problems()] == ["p"]
    else:
        with pytest.raises(NotBegun):
            Store.read(killed)
        Store.begin(killed, {"suite": "s"}, [Problem("p", "1?", "1")]).close()
    assert not (tmp_path / "killed.db-journal").exists()
