"""Limits for the code: short functions, short files, one place for the version, a changelog that is kept up."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from widthwise.version import VERSION

ROOT = Path(__file__).parents[1]
PACKAGE = ("aggregators", "backends", "core", "evals", "models", "pruning", "samplers", "src/widthwise")
SOURCES = [
    file
    for folder in (*PACKAGE, "bench", "examples", "scripts")
    for file in sorted((ROOT / folder).rglob("*.py"))
    if not any(parent.is_symlink() for parent in file.parents)
]
LONGEST_FILE = 350
LONGEST_FUNCTION, MEDIAN_FUNCTION, P90_FUNCTION = 50, 6, 16


@cache
def function_lengths() -> dict[str, int]:
    """Lines of every function, from its ``def`` to its last line, by file and name."""
    return {
        f"{file.relative_to(ROOT)}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for file in SOURCES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_no_function_is_too_long_to_be_read_at_a_glance() -> None:
    lengths = function_lengths()
    assert len(lengths) > 1000
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION} == {}


def test_most_functions_are_short() -> None:
    lengths = sorted(function_lengths().values())
    assert lengths[len(lengths) // 2] <= MEDIAN_FUNCTION
    assert lengths[len(lengths) * 9 // 10] <= P90_FUNCTION


def test_no_file_is_too_long() -> None:
    lines = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8").count("\n") for file in SOURCES}
    assert not {name for name, count in lines.items() if count > LONGEST_FILE}


def test_no_module_makes_a_logger_that_it_does_not_use() -> None:
    texts = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in SOURCES}
    loggers = {name: text.count("_log.") + text.count("(_log") for name, text in texts.items() if "\n_log = " in text}
    assert len(loggers) > 50
    assert {name for name, uses in loggers.items() if not uses} == set()


def test_event_loops_are_run_in_one_place() -> None:
    """There, signals wake them; the other place runs its loops in threads, where no signal is handled."""
    running = re.compile(r"asyncio\.(run|Runner|new_event_loop)\(|run_until_complete|signal_handler\(|set_wakeup_fd")
    files = [file for file in SOURCES if str(file.relative_to(ROOT)).startswith(PACKAGE)]
    found = [str(file.relative_to(ROOT)) for file in files if running.search(file.read_text(encoding="utf-8"))]
    assert found == ["backends/loop_thread.py", "core/event_loop.py"]


def test_the_version_is_written_in_one_place() -> None:
    written = re.compile(rf"""["']{re.escape(VERSION)}["']""")
    holding = [file.name for file in (*SOURCES, ROOT / "pyproject.toml") if written.search(file.read_text())]
    assert holding == ["version.py"]


def test_the_changelog_has_a_place_for_what_comes_next() -> None:
    sections = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert sections[0] == "Unreleased"


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "examples/README.md"])
def test_files_that_documents_name_are_there(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    named = re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.(?:py|md|txt|svg))`", text)
    named += re.findall(r"\]\((?!http)([^)#]+)\)", text)
    named += re.findall(r"\bpython ((?:bench|scripts)/[a-z_]+\.py)", text)
    homes = (ROOT, ROOT / "src" / "widthwise")
    missing = [name for name in named if not any((home / name).exists() for home in homes)]
    assert missing == []


@pytest.mark.parametrize("pattern", [r"^python3 -m venv .*pytest$", r"^python3 -m venv .*widthwise eval .*$"])
def test_the_readmes_commands_are_those_that_ci_runs(pattern: str) -> None:
    """``.ci/run`` and ``.ci/packaging`` read these commands from the README, so that CI runs what the README says."""
    lines = re.findall(pattern, (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(lines) == 1
    scripts = (ROOT / ".ci" / "run").read_text() + (ROOT / ".ci" / "packaging").read_text()
    assert pattern.removesuffix(" .*$") in scripts
