"""Shell completion, as a shell calls it, and in a real bash."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import pytest
import typer

from tests.evals.made_runs import made_run
from widthwise.cli.app import app
from widthwise.cli.completion import COMPLETERS, completed
from widthwise.core.registry import entries
from widthwise.core.roles import ROLES
from widthwise.exporting import EXPORTERS

Complete = Callable[..., list[str]]


@pytest.fixture
def complete(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Complete:
    """The completions offered for a command's last word, as bash passes it."""
    monkeypatch.chdir(tmp_path)

    def ask(*words: str) -> list[str]:
        monkeypatch.setenv("_WIDTHWISE_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", " ".join(["widthwise", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        with pytest.raises(SystemExit) as end:
            app(prog_name="widthwise")
        assert end.value.code == 0
        return [line for line in capsys.readouterr().out.splitlines() if line]

    return ask


def test_commands_and_options(complete: Complete) -> None:
    assert complete("ev") == ["eval"]
    assert complete("") == sorted(entry.name for entry in entries(ROLES["command"]))
    assert complete("eval", "--budget-to") == ["--budget-tokens"]
    assert complete("sweep", "--axis", "s") == ["samples", "sequential", "seconds"]


@pytest.mark.parametrize("command", ["eval", "sweep", "curve", "grade"])
def test_names_are_those_of_the_registry(complete: Complete, command: str) -> None:
    assert complete(command, "--grader", "") == sorted(entry.name for entry in entries(ROLES["grader"]))


def test_suites_and_models(complete: Complete) -> None:
    assert complete("eval", "recorded_g") == ["recorded_gsm8k"]
    assert complete("sweep", "--suite", "countd") == ["countdown"]
    assert complete("eval", "--model", "rea") == ["reasoner"]
    assert complete("eval", "--reward-model", "vl") == ["vllm:"]
    assert complete("import", "a.jsonl", "b.db", "--as", "") == sorted(e.name for e in entries(ROLES["importer"]))
    assert complete("export", "a.db", "a.jsonl", "--as", "") == list(EXPORTERS)
    assert complete("eval", "--allocator", "") == sorted(e.name for e in entries(ROLES["allocator"]))


def test_measures_of_reliability(complete: Complete) -> None:
    assert complete("compare", "--reliability", "") == ["all", "gpass:", "mgpass"]
    assert complete("curve", "--method", "gp") == ["gpass:"]


@pytest.mark.parametrize(
    ("written", "offered"),
    [
        ("best_of", ["best_of_n()"]),
        ("majority", []),  # a sampler comes first
        ('"best_of_n(n=4) | majo', ["best_of_n(n=4) | majority_vote()"]),
        ('"best_of_n(n=4) | deepc', ["best_of_n(n=4) | deepconf()"]),
        ('"best_of_n(n=4) | best_of', []),
        ('"best_of_n(n=4, wid', ["best_of_n(n=4, width="]),
        ('"parallel_distill_refine(worker=thr', ["parallel_distill_refine(worker=threads()"]),
        ('"single() | weighted_vote(to', ["single() | weighted_vote(top="]),
        ("fast=best_of", ["fast=best_of_n()"]),
        ("mine:str", []),
    ],
)
def test_the_parts_of_a_strategy(complete: Complete, written: str, offered: list[str]) -> None:
    assert complete("eval", "countdown", "--strategy", written) == offered


def test_runs_and_the_problems_in_them(complete: Complete, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    made_run(tmp_path / "mine.db", [["1"], ["2"]])
    made_run(tmp_path / "runs" / "other.db", [["1"]])
    assert complete("traces", "") == ["mine.db", "runs/other.db"]
    assert complete("report", "mine.db", "runs/o") == ["runs/other.db"]
    assert complete("traces", "mine.db", "p") == ["p0", "p1"]
    assert complete("traces", "none.db", "p") == [], "what cannot be read completes nothing"
    assert complete("eval", "--data", "mi") == [], "the shell completes files"


def test_what_a_shell_would_evaluate_is_not_told(complete: Complete, tmp_path: Path) -> None:
    for name in ("$(touch owned).db", "`touch owned`.db", "a;b.db", "good.db"):
        made_run(tmp_path / name, [["1"]])
    assert complete("traces", "") == ["good.db"]
    made_run(tmp_path / "ids.db", [["1"]], problem="$(touch owned)")
    assert complete("traces", "ids.db", "") == []


def test_every_completer_is_of_a_parameter_that_there_is() -> None:
    commands = [entry.load() for entry in entries(ROLES["command"])]
    names = {name for command in commands for name in get_type_hints(command)}
    assert set(COMPLETERS) <= names


def own(suite: Annotated[str, typer.Argument()], other: Annotated[str, typer.Option()] = "") -> None:
    """A user's own command."""


def test_a_command_of_ones_own_is_completed_too() -> None:
    hints = get_type_hints(completed(own), include_extras=True)
    assert all(info.autocompletion is not None for name in ("suite", "other") for info in hints[name].__metadata__)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_a_real_bash(tmp_path: Path) -> None:
    program = tmp_path / "widthwise"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m widthwise "$@"\n')
    program.chmod(0o755)
    script = """
    source <(widthwise --show-completion bash)
    ask() {
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
        _widthwise_completion widthwise
        printf '%s\\n' "${COMPREPLY[@]}"
    }
    ask widthwise ev
    ask widthwise eval countdown --strategy '"best_of_n(n=4) | majo'
    """
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
                   "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}  # fmt: skip
    done: Any = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split("\n")[:-1] == ["eval", "best_of_n(n=4) | majority_vote()"], done.stderr
