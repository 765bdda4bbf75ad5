"""Where vLLM's temporary files are, and that they are removed."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from widthwise.backends.vllm.scratch import Scratch
from widthwise.backends.watchdog import Watchdog


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scratch:
    for name in ("VLLM_RPC_BASE_PATH", "TORCHINDUCTOR_CACHE_DIR"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return Scratch()


def started(scratch: Scratch, engine: str) -> Path:
    """The folder that an engine leaves if it is started now."""
    with scratch.begin(engine):
        folder = os.environ["TMPDIR"]
        assert os.environ["VLLM_RPC_BASE_PATH"] == folder
        (Path(folder) / engine).touch()
    return Path(folder) / engine


def test_files_go_when_the_last_engine_does(scratch: Scratch, tmp_path: Path) -> None:
    first, second = started(scratch, "policy"), started(scratch, "reward")
    assert os.environ["TMPDIR"] == str(tmp_path)
    scratch.end("policy")
    scratch.end("policy")
    assert first.exists()
    assert second.exists()
    scratch.end("reward")
    assert list(first.parent.iterdir()) == []


def test_a_start_that_fails_leaves_nothing(scratch: Scratch) -> None:
    def failing() -> None:
        with scratch.begin("policy"):
            (Path(os.environ["TMPDIR"]) / "a").touch()
            raise RuntimeError("no memory")

    with pytest.raises(RuntimeError):
        failing()
    assert scratch.path is not None
    assert list(scratch.path.iterdir()) == []


def test_sockets_whose_names_would_be_too_long_go_to_a_shorter_folder(
    scratch: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("a" * 100)
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    file = started(scratch, "policy")
    assert not file.is_relative_to(deep)
    assert len(os.fsencode(file.with_name("6d6d543c-0ffb-4607-affd-c82431149a04"))) < 104


def test_the_watchdog_of_a_dead_process_removes_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    with subprocess.Popen(["sleep", "1000"]) as sleeper:
        watchdog = Watchdog([sleeper.pid], folder)
        assert watchdog._process is not None
        assert watchdog._process.stdin is not None
        watchdog._process.stdin.close()  # as happens when this process dies
        sleeper.wait(600)
    watchdog._process.wait(600)
    assert not folder.exists()
