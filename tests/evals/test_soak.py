"""A sample of ``bench/soak.py``: a few rounds with fixed seeds, and a check that it finds what it looks for."""

from __future__ import annotations

import importlib
import os
import random
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "bench"))
faults, growth, soak = map(importlib.import_module, ("faults", "growth", "soak"))


@pytest.fixture(autouse=True)
def _same_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


@pytest.mark.slow
def test_a_few_rounds_find_nothing(tmp_path: Path) -> None:
    one = soak.Soak(tmp_path, random.Random(7), say=lambda line: None)
    done = soak.soak(one, 60.0, 40, vllm=False, rounds=5)
    assert one.findings == []
    assert sum(done["rounds"].values()) == 5
    assert done["problems replayed"] == 40


def held(rounds: int, **changed: float) -> list[dict[str, float]]:
    flat = dict.fromkeys(growth.ALLOWED, 10.0)
    return [flat | {name: 10.0 + step * i for name, step in changed.items()} for i in range(rounds)]


def grown(seen: list[dict[str, float]]) -> growth.Growth:  # type: ignore[name-defined]
    one = object.__new__(growth.Growth)
    one.seen = seen
    return one


def test_what_is_flat_has_not_grown() -> None:
    grown(held(30)).check()


@pytest.mark.parametrize("name", growth.ALLOWED)
def test_a_figure_that_grows_is_a_finding(name: str) -> None:
    with pytest.raises(faults.Finding, match=f"{name} grew"):
        grown(held(30, **{name: 0.5})).check()


def test_a_few_rounds_say_nothing_of_growth() -> None:
    with pytest.raises(faults.Finding, match="too few"):
        grown(held(19)).check()


def command(words: list[str], folder: Path) -> faults.Command:  # type: ignore[name-defined]
    return faults.Command(words, folder / "a.db", longest=1.0)


def test_a_process_that_is_left_behind_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "GRACE", 0.5)
    leaving = ("-c", "import subprocess; subprocess.Popen(['sleep', '60'], stdout=-3, stderr=-3)")
    with pytest.raises(faults.Finding, match="leaves processes behind"), command([], tmp_path).at_work(start=leaving):
        pass


def test_a_command_that_hangs_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "PATIENCE", -299.0)
    sleeping = ("-c", "import time; time.sleep(600)")
    with pytest.raises(faults.Finding, match="hangs"), command([], tmp_path).at_work(start=sleeping):
        pass


def test_a_bad_end_is_a_finding(tmp_path: Path) -> None:
    with pytest.raises(faults.Finding, match="ended with 2"):
        command(["eval", "no-such-suite"], tmp_path).let_through()


def test_a_finding_is_noted_and_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def finding(self: soak.Soak, model: str) -> str:  # type: ignore[name-defined]
        (tmp_path / "broken.db").touch()
        raise faults.Finding("something")

    monkeypatch.setattr(soak.Soak, "_disturbed", finding)
    one = soak.Soak(tmp_path, random.Random(0), say=lambda line: None)
    for _ in range(2):
        one.attempt(lambda: one.round("reasoner"))
    assert one.findings == ["something", "something"]
    assert not (tmp_path / "broken.db").exists()


def test_temporary_files_that_are_left_are_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def leaving(command: faults.Command) -> None:  # type: ignore[name-defined]
        (Path(command.environment["TMPDIR"]) / "left").touch()

    monkeypatch.setattr(faults.Command, "let_through", leaving)
    with pytest.raises(faults.Finding, match="leaves temporary files"):
        soak.Soak(tmp_path, random.Random(0)).record()
