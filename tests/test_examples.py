"""The examples run as they are, say something, and are all listed."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
SLOW = {"vote_again.py"}
SCRIPTS = [
    pytest.param(file, id=file.stem, marks=[pytest.mark.slow] if file.name in SLOW else [])
    for file in sorted(FOLDER.glob("*.py"))
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_example_runs_as_it_is(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out.strip()
    assert list(tmp_path.iterdir()) == [], "an example leaves nothing behind"


def test_every_example_is_listed() -> None:
    listed = (FOLDER / "README.md").read_text()
    assert len(SCRIPTS) >= 12
    for file in FOLDER.glob("*.py"):
        assert f"`{file.name}`" in listed
