"""The guides' snippets that need another program, run if it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import widthwise
from tests.integrations.installed import installed
from tests.snippets import ROOT, make_shims, snippets

PROGRAMS = {"needs Inspect": "inspect_ai", "needs lm-evaluation-harness": "lm_eval"}


@pytest.mark.slow
@pytest.mark.parametrize("page", ["docs/inspect.md", "docs/lm-eval.md"])
def test_the_snippets_of_a_guide_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [s for s in snippets(page, (ROOT / page).read_text()) if s.title or s.reason in PROGRAMS]
    assert len(found) >= 3
    for program in {PROGRAMS[snippet.reason] for snippet in found if snippet.reason}:
        if find_spec(program) is None:
            pytest.skip(f"{program} is not installed")
    folder, shims = tmp_path / "page", make_shims(tmp_path / "shims")
    folder.mkdir()
    path = os.pathsep.join([str(shims), str(Path(sys.executable).parent), os.environ["PATH"]])
    places = os.pathsep.join([str(installed(tmp_path / "site-packages", Path(widthwise.__file__).parent)), str(ROOT)])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": places, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    for snippet in found:
        if snippet.title:
            (folder / snippet.title).write_text(snippet.text)
            continue
        command = ["bash", "-euo", "pipefail", "-c", snippet.text]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{snippet.place}:\n{snippet.text}\n{done.stdout}\n{done.stderr}"
    assert list(folder.glob("*.db"))
