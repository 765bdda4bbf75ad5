"""Every snippet of README, docs and examples is run; if one cannot be run here, the code that it names is checked."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import widthwise as ww
from tests.snippets import ROOT, Snippet, commands_of, is_simple, lines_of, make_shims, run, snippets
from widthwise.cli.app import app
from widthwise.core import registry
from widthwise.core.roles import ROLES
from widthwise.core.strategy.composition import parse_strategy
from widthwise.given_models import model_option
from widthwise.opening import kind_of

REASONS = {"installs packages", "needs vLLM", "needs a server", "needs a network", "needs a data set", "takes minutes"}
REASONS |= {"needs Inspect", "needs lm-evaluation-harness"}  # run by tests/integrations/test_guides.py
PAGES = ["README.md", "CONTRIBUTING.md", "examples/README.md"]
PAGES += sorted(str(file.relative_to(ROOT)) for file in (ROOT / "docs").rglob("*.md"))
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def snippets_of(page: str) -> list[Snippet]:
    return snippets(page, (ROOT / page).read_text(encoding="utf-8"))


def said_by(script: Path) -> list[Snippet]:
    """The snippets in an example's docstring."""
    name = str(script.relative_to(ROOT))
    return snippets(name, ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or "")


ALL = [snippet for page in PAGES for snippet in snippets_of(page)]
ALL += [snippet for script in EXAMPLES for snippet in said_by(script)]
RUN = [snippet for snippet in ALL if snippet.reason is None and snippet.language in ("bash", "python")]
MARKED = [snippet for snippet in ALL if snippet.reason is not None]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder; what a page registers and imports is forgotten after it."""
    folder = tmp_path / "page"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    registry.entries(*ROLES.values())  # register the built-in parts before those that a page adds
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    known = set(sys.modules)
    yield folder
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted({snippet.page for snippet in RUN}))
def test_the_snippets_of_a_page_run_in_their_order(here: Path, page: str) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    shims = make_shims(here.parent / "shims")
    for snippet in ALL:
        if snippet.page == page and snippet.reason is None:
            run(snippet, names, shims)


@pytest.mark.parametrize("snippet", MARKED, ids=lambda snippet: snippet.place)
def test_a_snippet_that_is_not_run_says_why_and_fits_the_code(snippet: Snippet) -> None:
    assert snippet.reason in REASONS
    if snippet.language == "python":
        check_python(snippet.text)
        return
    assert snippet.language == "bash"
    subprocess.run(["bash", "-n", "-c", snippet.text], check=True)
    for line in lines_of(snippet.text):
        for program, *arguments in commands_of(line):
            check_command(Path(program).name, arguments)


def check_python(text: str) -> None:
    """It compiles, and the names that it uses from the package exist."""
    compile(text, "snippet", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for name in re.findall(r"\bww\.(\w+)", text):
        assert hasattr(ww, name), name


def check_command(program: str, arguments: list[str]) -> None:
    """The command's options, parts, models, extras and files exist."""
    if program == "widthwise" and arguments and not arguments[0].startswith("-"):
        check_call(arguments)
    elif program == "pip" and arguments[0] == "install":
        known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        for extras in re.findall(r"(?:\.|widthwise)\[([\w,-]+)\]", " ".join(arguments)):
            assert set(extras.split(",")) <= known.keys(), extras
    elif program in ("python", "python3") and arguments[0].endswith(".py"):
        assert (ROOT / arguments[0]).is_file(), arguments[0]


def check_call(arguments: list[str]) -> None:
    """Parse ``arguments`` as the command does, then parse the strategies and models in them."""
    group: Any = typer.main.get_command(app)
    context = group.make_context("widthwise", list(arguments), resilient_parsing=True)
    command = group.get_command(context, arguments[0])
    assert command is not None, arguments[0]
    given = command.make_context(arguments[0], arguments[1:], parent=context).params
    strategies = given.get("strategy") or ()
    for strategy in [strategies] if isinstance(strategies, str) else strategies:
        if not re.search(r"[a-z]\w*:[a-z]", strategy):  # skip the reader's own parts
            parse_strategy(re.sub(r"^\w+=", "", strategy) if arguments[0] == "serve" else strategy)  # NAME=STRATEGY
    named = model_option(given.get("model") or [])
    models = list(named.values()) if isinstance(named, dict) else [named]
    for spec in (*models, given.get("reward_model"), given.get("embedding_model")):
        if spec:
            kind_of(spec)


def test_most_snippets_are_run() -> None:
    assert len(RUN) > 50
    assert len(RUN) > 2 * len(MARKED)


@pytest.mark.parametrize(
    "arguments",
    ["eval x --no-such", "evaluate x", "eval x --strategy best_of(n=2)", "eval x --model vlm:x", "eval x --limit a"],
)
def test_a_command_that_does_not_fit_is_found(arguments: str) -> None:
    check_call(["eval", "x"])
    with pytest.raises((AssertionError, ww.UsageError, typer.BadParameter.__base__)):
        check_call(arguments.split())


@pytest.mark.parametrize("line", ["widthwise eval x | head", "widthwise traces *.db", "cat x", 'widthwise eval "$x"'])
def test_a_line_that_needs_a_shell_gets_one(line: str) -> None:
    assert not is_simple(line)
    assert is_simple('widthwise eval x --strategy "best_of_n(n=2) | majority_vote()"')


# -- examples --------------------------------------------------------------------------------------------------------

SLOW = {"vote_again.py"}


@pytest.mark.parametrize(
    "script",
    [pytest.param(file, id=file.stem, marks=[pytest.mark.slow] if file.name in SLOW else []) for file in EXAMPLES],
)
def test_an_example_runs_as_it_is(here: Path, script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out.strip()
    assert list(here.iterdir()) == [], "an example leaves nothing behind"


def test_every_example_is_listed() -> None:
    listed = (ROOT / "examples" / "README.md").read_text()
    assert len(EXAMPLES) >= 12
    for file in EXAMPLES:
        assert f"`{file.name}`" in listed
