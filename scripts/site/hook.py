"""What the documentation site has besides the pages in ``docs/``, generated when it is built (see ``mkdocs.yml``)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from command_line import command_line_page
from mkdocs.structure.files import File, Files
from notebooks import notebook_page
from parts import part_pages
from python_names import python_page

_TABLE_ROW = re.compile(r"^\|.*\|$", re.MULTILINE)
_NOTEBOOK_LINK = re.compile(r"\]\(([\w./-]*notebooks/[\w-]+)\.ipynb\)")
_CODE = re.compile(r"(`+)[^`]+\1")


def on_files(files: Files, config: Any) -> Files:
    """Adds the generated reference and the notebooks' pages: nothing of them is a file in the repository."""
    pages = {**part_pages(), "python": python_page(), "command_line": command_line_page()}
    for name, text in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        text = notebook_page(Path(str(notebook.abs_src_path)))
        files.append(File.generated(config, notebook.src_uri.replace(".ipynb", ".md"), content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """What GitHub wants otherwise: a backslash before a ``|`` in code in a table, and notebooks for their pages."""
    rows = _TABLE_ROW.sub(lambda row: _CODE.sub(lambda code: code[0].replace("\\|", "|"), row[0]), markdown)
    return _NOTEBOOK_LINK.sub(r"](\1.md)", rows)
