"""How the package was installed, and so how to install an extra: a command that works as printed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from shlex import quote
from typing import Any
from urllib.parse import unquote, urlsplit

NAME = "widthwise"


def install_command(extra: str) -> str:
    """The ``pip install`` command that adds ``extra`` to this installation.

    It names the folder, file or repository that the package came from; an index only if it came from one.
    """
    try:
        record = distribution(NAME).read_text("direct_url.json")
    except PackageNotFoundError:  # run from a clone that was never installed
        return f"pip install {quote(f'{_clone()}[{extra}]')}"
    return f"pip install {_origin(json.loads(record or '{}'), extra)}"


def _origin(record: Mapping[str, Any], extra: str) -> str:
    """Where an installation came from, for pip, according to pip's own record (PEP 610); an index has none."""
    if not record:
        return quote(f"{NAME}[{extra}]")
    if "vcs_info" in record:
        return quote(f"{NAME}[{extra}] @ {record['vcs_info']['vcs']}+{record['url']}")
    place = urlsplit(record["url"])
    if place.scheme != "file":
        return quote(f"{NAME}[{extra}] @ {record['url']}")
    editable = "-e " if record.get("dir_info", {}).get("editable") else ""
    return editable + quote(f"{unquote(place.path)}[{extra}]")


@cache
def _clone() -> Path:
    """The folder with the ``pyproject.toml`` above this file."""
    above = Path(__file__).resolve().parents
    return next((folder for folder in above if (folder / "pyproject.toml").is_file()), above[1])
