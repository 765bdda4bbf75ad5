"""Files are replaced as a whole or stay unchanged."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from widthwise.core.errors import UsageError
from widthwise.evals.measure.curves import curve
from widthwise.evals.replacement import replacement
from widthwise.evals.store.exchange import export_run, import_recordings
from widthwise.evals.store.store import Store
from widthwise.evals.views.plots import draw, save
from widthwise.evals.views.report import write_report


def samples(i: int) -> list[dict[str, Any]]:
    return [{"text": f"It is \\boxed{{{i}}}", "answer": f"{i}", "correct": True}, {"text": "x" * 999}]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of 50 problems, each with a few samples."""
    rows = [{"problem_id": f"p{i}", "problem": f"{i}?", "answer": f"{i}", "samples": samples(i)} for i in range(50)]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_recordings(tmp_path / "r.jsonl", tmp_path / "run.db")
    return tmp_path / "run.db"


def _export(run: Path, out: Path) -> None:
    with Store.read(run) as store:
        export_run(store, out)


def _report(run: Path, out: Path) -> None:
    write_report([run], out)


def _draw(run: Path, out: Path) -> None:
    save(draw([curve(run, replicates=2)]), out)


WRITERS: dict[str, Callable[[Path, Path], None]] = {
    "out.jsonl": _export,
    "out.parquet": _export,
    "out.html": _report,
    "out.svg": _draw,
    "out.png": _draw,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_old_file(run: Path, name: str) -> None:
    """A process's file-size limit stands in for a full disk."""
    out = run.parent / "out" / name
    out.parent.mkdir()
    out.write_text("the old file")
    script = f"""
import resource, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_replacement import WRITERS, Path, UsageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))
try:
    WRITERS[{name!r}](Path({str(run)!r}), Path({str(out)!r}))
except UsageError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"cannot write {out}:")
    assert "File too large" in said
    assert out.read_text() == "the old file"
    assert os.listdir(out.parent) == [name]


@pytest.mark.parametrize("name", WRITERS)
def test_a_finished_file_takes_the_old_ones_place(run: Path, name: str) -> None:
    out = run.parent / "out" / name
    out.parent.mkdir()
    out.write_text("the old file")
    out.chmod(0o640)
    WRITERS[name](run, out)
    assert out.stat().st_size > 1000
    assert stat.S_IMODE(out.stat().st_mode) == 0o640
    assert os.listdir(out.parent) == [name]


def test_a_link_stays_a_link_and_a_pipe_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with replacement(tmp_path / "link") as file:
        file.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
    with replacement("/dev/null") as file:
        file.write_text("gone")
    assert Path("/dev/null").is_char_device()


def test_an_error_inside_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), replacement(tmp_path / "new") as file:
        file.write_text(str(1 / 0))
    assert not list(tmp_path.iterdir())
    with (
        pytest.raises(UsageError, match="cannot write /proc/nowhere/x: /proc takes no new files"),
        replacement("/proc/nowhere/x"),
    ):
        pass


def test_a_killed_import_leaves_no_run(tmp_path: Path, run: Path) -> None:
    """Before, a killed import left a run that claimed to be complete, with only what had been read so far."""
    out = tmp_path / "killed.db"
    script = f"""
import os, signal, sys
from widthwise.evals.store import exchange
stored = []
def store_some(store, recording, keep=exchange._store):
    keep(store, recording)
    stored.append(recording)
    if len(stored) == 20:
        os.kill(os.getpid(), signal.SIGKILL)
exchange._store = store_some
exchange.import_recordings({str(tmp_path / "r.jsonl")!r}, {str(out)!r})
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    assert not out.exists()
    assert import_recordings(tmp_path / "r.jsonl", out) == 50


def test_an_import_that_finds_the_disk_full_leaves_nothing(run: Path) -> None:
    folder = run.parent / "out"
    folder.mkdir()
    script = f"""
import resource, signal
from widthwise.evals.store.database import StoreError
from widthwise.evals.store.exchange import import_recordings
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
try:
    import_recordings({str(run.parent / "r.jsonl")!r}, {str(folder / "new.db")!r})
except StoreError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"{folder / 'new.db'} was not made: the disk")
    assert os.listdir(folder) == []
