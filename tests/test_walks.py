"""The walks that ARCHITECTURE.md draws are the paths that calls take."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_FILES = 22


@pytest.fixture(scope="module")
def walks() -> dict[str, dict[str, list[str]]]:
    """The files at each station of each walk, as the tracer sees them."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "walks.py"), "--json"], capture_output=True, text=True, check=True
    )
    return {row["walk"]: row["stations"] for row in map(json.loads, done.stdout.splitlines())}


@pytest.mark.slow
def test_a_strategy_crosses_few_files_and_comes_back_to_none(walks: dict[str, dict[str, list[str]]]) -> None:
    stations = walks["token"]
    assert len({file for crossed in stations.values() for file in crossed}) <= MOST_FILES
    for walk in walks.values():
        for crossed in walk.values():
            assert len(crossed) == len(set(crossed)), crossed


@pytest.mark.slow
@pytest.mark.parametrize("name", ["token", "score", "verdict"])
def test_the_page_draws_the_walk(walks: dict[str, dict[str, list[str]]], name: str) -> None:
    section = (ROOT / "ARCHITECTURE.md").read_text().split("## Three walks")[1].split("\n## ")[0]
    drawings = dict(zip(("token", "score", "verdict"), re.findall(r"```\n(.*?)```", section, re.DOTALL), strict=True))
    drawn = {Path(path).name for path in re.findall(r"[\w/]+\.py", drawings[name])}
    crossed = {Path(file).name for files in walks[name].values() for file in files}
    before = set() if name == "token" else {Path(file).name for file in walks["token"]["sampled"][:8]}
    assert crossed - before <= drawn
    assert drawn <= crossed


def test_the_page_counts_the_files(walks: dict[str, dict[str, list[str]]]) -> None:
    count = len({file for crossed in walks["token"].values() for file in crossed})
    assert f"({count} files, none twice)" in (ROOT / "ARCHITECTURE.md").read_text()
