"""The documentation site builds from the code without broken links or anchors, and asks nothing of other hosts."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import widthwise as ww
from widthwise.core.registry import entries
from widthwise.core.roles import ROLES
from widthwise.core.strategy.spelling import literal

ROOT = Path(__file__).parents[1]
MISSING = [name for name in ("mkdocs", "material", "mkdocstrings", "nbclient", "ipykernel") if find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"the extra docs is not installed ({', '.join(MISSING)})"),
]
PARTS = [
    pytest.param(entry, id=f"{role.name}-{entry.name}")
    for role in ROLES.values()
    for entry in entries(role)
    if entry.built_in and role.name != "command"
]


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Run ``mkdocs build --strict`` on the tree under ``root``."""
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


def page(site: Path, name: str) -> str:
    return (site / name).read_text(encoding="utf-8")


def words(html: str) -> str:
    """A page's text, without markup and layout."""
    text = re.sub(r"<[^>]+>", "", html)
    for name, mark in (("&quot;", '"'), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(name, mark)
    return " ".join(text.split())


@pytest.mark.parametrize("entry", PARTS)
def test_every_part_is_shown_with_its_arguments_and_papers(site: Path, entry) -> None:  # type: ignore[no-untyped-def]
    html = page(site, f"reference/{entry.role.group.removeprefix('widthwise.')}.html")
    section = re.search(rf'<h2 id="{re.escape(entry.name.replace(".", "-"))}">.*?(?=<h2|</article)', html, re.S)
    assert section is not None
    part = entry.load()
    if not inspect.isclass(part) and not inspect.isfunction(part):
        return
    said = inspect.getdoc(part) or ""
    assert said.split()[0].replace("``", "") in words(section[0])
    for number in re.findall(r"arXiv[ :](\d{4}\.\d+)", said):
        assert f'href="https://arxiv.org/abs/{number}"' in section[0]
    if entry.role.space == "strategy":
        for parameter in inspect.signature(part).parameters.values():
            assert f"{parameter.name}={literal(parameter.default)}" in words(section[0])


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    python = page(site, "reference/python.html")
    roles = "".join(page(site, f"reference/{role.group.removeprefix('widthwise.')}.html")
                    for role in ROLES.values() if role.space == "strategy")  # fmt: skip
    shown = set(re.findall(r'id="widthwise\.(\w+)"', python)) | set(re.findall(r"<code>ww\.(\w+)</code>", roles))
    assert set(ww.__all__) <= shown


def test_every_command_is_in_the_reference(site: Path) -> None:
    html = page(site, "reference/command_line.html")
    commands = [entry.name for entry in entries(ROLES["command"]) if entry.built_in]
    assert len(commands) > 10
    assert all(f'id="widthwise-{name}"' in html for name in commands)
    assert "--budget-tokens N" in words(html)


def test_pages_load_nothing_from_other_hosts(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    loads = re.compile(r'<(?:script|img|iframe|source|link)\b[^>]*(?:src|href)=[\'"]?(?:https?:)?//[^>]*>')
    assert {file.name: found for file in pages if (found := loads.findall(file.read_text(encoding="utf-8")))} == {}


def test_notebooks_are_pages_with_what_their_cells_print(site: Path) -> None:
    assert "traces say 18" in words(page(site, "notebooks/strategy.html"))
    assert "<table" in page(site, "notebooks/budget.html")
    assert 'href="notebooks/strategy.html"' in page(site, "python.html")
    assert (site / "notebooks" / "strategy.ipynb").is_file()


def test_notebooks_are_kept_without_outputs() -> None:
    notebooks = list((ROOT / "docs" / "notebooks").glob("*.ipynb"))
    assert len(notebooks) >= 2
    for notebook in notebooks:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        assert not any(cell.get("outputs") for cell in cells), notebook.name


def test_a_notebook_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "site"))
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": "1 / 0", "execution_count": None, "outputs": []}
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "fails.ipynb").write_text(json.dumps(notebook))
    with pytest.raises(Exception, match=r"fails\.ipynb: (.|\n)*ZeroDivisionError"):
        importlib.import_module("notebooks").notebook_page(tmp_path / "fails.ipynb")


def test_tables_show_pipes_without_backslashes(site: Path) -> None:
    html = page(site, "measured.html")
    assert "<code>best_of_n(n=16) | majority_vote()</code>" in html
    assert not [code for code in re.findall(r"<td><code>.*?</code>", html) if "\\|" in code or "&amp;#124;" in code]


def test_a_broken_link_a_broken_anchor_and_an_unlisted_page_are_errors(tmp_path: Path) -> None:
    for name in ("docs", "scripts/site"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.ipynb"))
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    (tmp_path / "src").symlink_to(ROOT / "src")
    (tmp_path / "docs" / "unlisted.md").write_text("[a](gone.md) and [b](models.md#no-such-heading)\n")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode == 1
    assert "'gone.md', but the target is not found" in done.stderr
    assert "'models.md#no-such-heading', but the doc 'models.md' does not contain an anchor" in done.stderr
    assert "unlisted.md" in done.stderr.partition('not included in the "nav"')[2]
