"""What the documentation site has beside the pages in ``docs/``, made when it is built (see ``mkdocs.yml``)."""

from __future__ import annotations

import re
from typing import Any

from command_line import command_line_page
from mkdocs.structure.files import File, Files
from parts import part_pages
from python_names import python_page

_TABLE_ROW = re.compile(r"^\|.*\|$", re.MULTILINE)
_CODE = re.compile(r"(`+)[^`]+\1")


def on_files(files: Files, config: Any) -> Files:
    """Adds the generated reference: nothing of it is a file in the repository."""
    pages = {**part_pages(), "python": python_page(), "command_line": command_line_page()}
    for name, text in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """GitHub wants a backslash before a ``|`` in code in a table; this site would show the backslash."""
    return _TABLE_ROW.sub(lambda row: _CODE.sub(lambda code: code[0].replace("\\|", "|"), row[0]), markdown)
