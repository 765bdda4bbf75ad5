"""All documents share one folder: no two commands with different settings write the same file."""

from __future__ import annotations

import ast
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.snippets import ROOT, Snippet, commands_of, lines_of, snippets
from tests.test_documents import ALL
from widthwise.cli.app import app

MORE = [str(file.relative_to(ROOT)) for file in sorted((ROOT / "models").glob("*/README.md"))]
SNIPPETS = [*ALL, *(found for page in MORE for found in snippets(page, (ROOT / page).read_text(encoding="utf-8")))]
_NO_SETTINGS = frozenset({"run", "as_json", "show_prompts", "concurrency", "column"})
Made = tuple[str, str, str]
"""A file, how it is made, and where the document says so."""


def made_by(snippet: Snippet) -> Iterator[Made]:
    """The files that a snippet makes, each with everything that determines its content."""
    if snippet.file:
        yield snippet.file, re.sub(r"\A# \w+\.py\b.*\n", "", snippet.text).strip(), snippet.place
    if snippet.language == "bash":
        for line in lines_of(snippet.text):
            for program, *arguments in commands_of(line):
                if Path(program).name == "widthwise":
                    yield from ((file, how, snippet.place) for file, how in made_by_command(arguments))
    elif snippet.language == "python":
        for call in (node for node in ast.walk(ast.parse(snippet.text)) if isinstance(node, ast.Call)):
            for keyword in call.keywords:
                if keyword.arg == "run" and isinstance(keyword.value, ast.Constant):
                    yield str(keyword.value.value), ast.unparse(call), snippet.place


def made_by_command(arguments: list[str]) -> Iterator[tuple[str, str]]:
    if not arguments or arguments[0].startswith("-"):
        return
    given = parsed(arguments)
    settings = {name: value for name, value in given.items() if name not in _NO_SETTINGS and value not in (None, ())}
    how = f"{arguments[0]} {json.dumps(settings, sort_keys=True, default=str)}"
    file = {"eval": given.get("run"), "import": given.get("run"), "curve": given.get("out"), "report": given.get("out"),
            "export": given.get("out")}.get(arguments[0])  # fmt: skip
    if file is not None and not given.get("show_prompts"):
        yield str(file), how


@cache
def _group() -> Any:
    return typer.main.get_command(app)


def parsed(arguments: list[str]) -> dict[str, Any]:
    """A command's parameters, as the command itself parses them."""
    group = _group()
    context = group.make_context("widthwise", list(arguments), resilient_parsing=True)
    command = group.get_command(context, arguments[0])
    return dict(command.make_context(arguments[0], arguments[1:], parent=context, resilient_parsing=True).params)


def collisions(made: list[Made]) -> dict[str, list[str]]:
    """Files that are made in several ways, and where."""
    ways: dict[str, dict[str, str]] = defaultdict(dict)
    for file, how, place in made:
        ways[file].setdefault(how, place)
    return {file: sorted(of.values()) for file, of in ways.items() if len(of) > 1}


def test_no_two_documents_make_one_file_differently() -> None:
    made = [one for snippet in SNIPPETS for one in made_by(snippet)]
    assert len({file for file, _, _ in made if file.endswith(".db")}) > 10
    assert collisions(made) == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("widthwise eval x --run a.db\nwidthwise eval x --run a.db --json", []),
        ("widthwise eval x --run a.db\nwidthwise eval x --run a.db --limit 3", ["a.db"]),
        ("widthwise eval x --run a.db\nwidthwise eval y --run b.db", []),
        ("widthwise eval x --run a.db\nwidthwise import x.jsonl a.db", ["a.db"]),
    ],
)
def test_a_collision_is_found(text: str, found: list[str]) -> None:
    assert list(collisions(list(made_by(Snippet("p", 1, "bash", None, text, None))))) == found


def test_modules_of_one_name_are_found() -> None:
    made = [one for body in ("a = 1", "a = 2") for one in made_by(Snippet("p", 1, "python", "lines.py", body, None))]
    assert list(collisions(made)) == ["lines.py"]
