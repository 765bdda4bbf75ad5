"""Notebooks as pages: each is run when the site is built, so that a page shows what its cells print."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.exceptions import PluginError
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

_SECONDS = 600


def notebook_page(path: Path) -> str:
    """The notebook with its outputs, as Markdown; ``PluginError`` if a cell fails."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        place = {"metadata": {"path": folder}}
        try:
            NotebookClient(notebook, timeout=_SECONDS, kernel_name="python3", resources=place).execute()
        except CellExecutionError as error:
            raise PluginError(f"{path.name}: {error}") from error
    intro = f"[Download this notebook]({path.name})"
    pieces = [piece for cell in notebook.cells for piece in _cell(cell)]
    return "\n\n".join([pieces[0], intro, *pieces[1:]])


def _cell(cell: Any) -> list[str]:
    if cell.cell_type != "code":
        return [cell.source]
    return [_fenced("python", cell.source), *(shown for output in cell.outputs if (shown := _output(output)))]


def _output(output: Any) -> str:
    if output.output_type == "stream":
        return _fenced("text", output.text) if output.name == "stdout" else ""
    return _richest(output.data)


def _richest(data: Mapping[str, str]) -> str:
    """The form that a notebook would show."""
    if html := data.get("text/html") or data.get("image/svg+xml"):
        return f'<div class="output">{html}</div>'
    if png := data.get("image/png"):
        return f'<img alt="what the cell above draws" src="data:image/png;base64,{png.strip()}">'
    return _fenced("text", data["text/plain"])


def _fenced(language: str, text: str) -> str:
    return f"````{language}\n{text.rstrip()}\n````"
