"""The fenced code of documents: found, and run.

A page's snippets share one folder and run in order, so that a page reads as one session. They run as written, except
that ``eval`` and ``sweep`` take at most ``LIMIT`` problems. ``title="FILE"`` after the language first writes the
snippet to that file; so does a first line ``# FILE.py``. A snippet after ``<!-- not run: REASON -->`` is only checked.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from typer.testing import CliRunner

from widthwise.cli.app import app, main

ROOT = Path(__file__).parents[1]
LIMIT = 2

_FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>.+?) -->\n)?"
    r"^```(?P<language>\w*)(?: +title=\"(?P<title>[^\"]+)\")?[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_COMMENT = re.compile(r"(?:^|\s+)#(?:\s.*)?$")
_SHELL = frozenset("();<>|&")


class Snippet(NamedTuple):
    """One fence: its page and line, its language, the file to write it to, why it is not run."""

    page: str
    line: int
    language: str
    title: str | None
    text: str
    reason: str | None

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str | None:
        named = re.match(r"# (\w+\.py)\b", self.text) if self.language == "python" else None
        return self.title or (named[1] if named else None)


def snippets(page: str, text: str) -> list[Snippet]:
    """All fences of a document, in order."""
    return [
        Snippet(page, text.count("\n", 0, found.start("text")), found["language"], found["title"], found["text"],
                found["reason"])
        for found in _FENCE.finditer(text)
    ]  # fmt: skip


def lines_of(text: str) -> list[str]:
    """The commands of a shell snippet: continued lines joined, without comments.

    Those with the comment ``# installed`` need a package of plug-ins; ``tests/test_extending.py`` runs them.
    """
    joined = re.sub(r"\\\n\s*", "", text)
    here = [line for line in joined.splitlines() if not line.endswith("# installed")]
    return [line for line in (_COMMENT.sub("", line) for line in here) if line.strip()]


def commands_of(line: str) -> list[list[str]]:
    """A line's simple commands as words, without environment settings before them."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    commands: list[list[str]] = [[]]
    for word in lexer:
        if word and set(word) <= _SHELL:
            commands.append([])
        elif commands[-1] or not re.fullmatch(r"\w+=.*", word):
            commands[-1].append(word)
    return [command for command in commands if command]


def is_simple(line: str) -> bool:
    """Whether a line is a single call of ``widthwise`` that a shell would not change."""
    unquoted = re.sub(r"'[^']*'|\"[^\"$`]*\"", "", line)
    return line.startswith("widthwise ") and not set(unquoted) & (_SHELL | set("*?$`~"))


def shortened(arguments: Sequence[str]) -> list[str]:
    """The ``arguments`` of ``widthwise``, with at most ``LIMIT`` problems if the command samples."""
    samples = list(arguments[:1]) in (["eval"], ["sweep"]) and "--help" not in arguments
    return [*arguments, "--limit", str(LIMIT)] if samples else list(arguments)


def run(snippet: Snippet, names: dict[str, Any], shims: Path) -> None:
    """Run a snippet in the current folder. ``names`` are the page's Python variables; raises whatever fails."""
    if snippet.file:
        Path(snippet.file).write_text(snippet.text)
    if snippet.language == "python" and snippet.file:
        _import(Path(snippet.file))
    elif snippet.language == "python":
        _run_python(snippet, names)
    elif snippet.language == "bash" and all(map(is_simple, lines_of(snippet.text))):
        for line in lines_of(snippet.text):
            called(line, snippet.place)
    elif snippet.language == "bash":
        _run_shell(snippet, shims)


def called(line: str, place: str) -> str:
    """The output of one ``widthwise`` call, run in this process."""
    result = CliRunner().invoke(app, shortened(shlex.split(line)[1:]))
    assert result.exit_code == 0, f"{place}: {line}\n{result.output}\n{result.exception!r}"
    return result.output


def make_shims(folder: Path) -> Path:
    """Programs for shell snippets: ``widthwise`` with few problems, and this ``python``."""
    folder.mkdir()
    for name, command in (("widthwise", f"{sys.executable} {__file__}"), ("python", sys.executable)):
        (folder / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


def _run_shell(snippet: Snippet, shims: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{shims}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
    }
    command = ["bash", "-euo", "pipefail", "-c", snippet.text]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{snippet.place}:\n{snippet.text}\n{done.stdout}\n{done.stderr}"


def _import(file: Path) -> None:
    """Import the file as a command or a later snippet does, from the current folder."""
    sys.path.insert(0, str(file.absolute().parent))
    importlib.invalidate_caches()
    importlib.import_module(file.stem)


def _run_python(snippet: Snippet, names: dict[str, Any]) -> None:
    """Run it like a notebook cell: earlier snippets' definitions are available, and top-level ``await`` is allowed."""
    code = compile("\n" * snippet.line + snippet.text, snippet.page, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, names)
    if inspect.iscoroutine(result):
        asyncio.run(result)


if __name__ == "__main__":
    sys.argv = ["widthwise", *shortened(sys.argv[1:])]
    main()
