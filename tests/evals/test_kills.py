"""A sample of ``bench/kills.py``; ``test_resume.py`` also checks that resumed runs are equal."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "bench"))
kills = importlib.import_module("kills")


@pytest.mark.slow
def test_kills_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    hit = kills.kill_all(2, 1, ["import", "export"], lambda _: None)
    assert sum(hit.values()) == 2


def test_half_a_file_is_noticed(tmp_path: Path) -> None:
    check = kills.Product("a.jsonl", b"old", lambda path: path.read_text().count("\n") == 2).check
    for whole in ("old", json.dumps({}) + "\n" + json.dumps({}) + "\n"):
        (tmp_path / "a.jsonl").write_text(whole)
        check(tmp_path)
    (tmp_path / "a.jsonl").write_text(json.dumps({}) + "\n")
    with pytest.raises(kills.Wrong, match="neither the old file nor a whole new one"):
        check(tmp_path)
