"""A page for each role with all its built-in parts: how each is written, its arguments, description and papers."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from typing import Any

import widthwise as ww
from widthwise.core.registry import Entry, entries
from widthwise.core.roles import ROLES, Role
from widthwise.core.strategy.spelling import literal

_SAID = ("name", "about", "description")
"""Fields that are shown above the table of the others."""

_ARXIV = re.compile(r"arXiv[ :](\d{4}\.\d{4,5})")


def part_pages() -> Mapping[str, str]:
    """Name and Markdown of a page for each role except commands, which have a page of their own."""
    roles = [role for role in ROLES.values() if role.name != "command"]
    return {"index": _index(roles), **{_page(role): _role_page(role) for role in roles}}


def _page(role: Role) -> str:
    return role.group.removeprefix("widthwise.")


def _title(role: Role) -> str:
    return _page(role).replace("_", " ").capitalize()


def _built_in(role: Role) -> list[Entry]:
    return [entry for entry in entries(role) if entry.built_in]


def _index(roles: list[Role]) -> str:
    rows = [f"| [{_title(role)}]({_page(role)}.md) | {', '.join(_links(role))} |" for role in roles]
    return "\n".join(
        [
            "# Reference",
            "",
            "Every part that has a name. These pages are generated from the code. "
            "[Python](python.md) has the public functions and classes, [Command line](command_line.md) the commands.",
            "",
            "| role | parts |",
            "|---|---|",
            *rows,
        ]
    )


def _links(role: Role) -> list[str]:
    return [f"[`{entry.name}`]({_page(role)}.md#{_anchor(entry)})" for entry in _built_in(role)]


def _role_page(role: Role) -> str:
    intro = (
        f"{str(role)[0].upper()}{str(role)[1:]}. [How to write one](../extending.md#{_page(role).replace('_', '-')})."
    )
    return "\n\n".join([f"# {_title(role)}", intro, *(_described(entry) for entry in _built_in(role))])


def _described(entry: Entry) -> str:
    part = entry.load()
    pieces = [f"## {entry.name} {{ #{_anchor(entry)} }}", _written(entry, part), _text_of(part), _arguments(part)]
    return "\n\n".join(piece for piece in [*pieces, _python_name(part)] if piece)


def _anchor(entry: Entry) -> str:
    return entry.name.replace(".", "-")


def _written(entry: Entry, part: Any) -> str:
    """How the part is written, with its defaults."""
    if hasattr(part, "written"):
        return f"Written `{part.written}`."
    if not _is_definition(part):
        return ""
    given = ", ".join(p.name if p.default is p.empty else f"{p.name}={literal(p.default)}" for p in _parameters(part))
    return f"```python\n{entry.name}({given})\n```"


def _arguments(part: Any) -> str:
    """A table of the arguments; empty for parts without any."""
    if not _is_definition(part) or not _parameters(part):
        return ""
    rows = [f"| `{p.name}` | {_type(p)} | {_default(p)} |" for p in _parameters(part)]
    return "\n".join(["| argument | type | default |", "|---|---|---|", *rows])


def _parameters(part: Any) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p for p in inspect.signature(part).parameters.values() if p.kind not in kinds]


def _type(parameter: inspect.Parameter) -> str:
    named = parameter.annotation
    if named is parameter.empty:
        return ""
    return f"`{named if isinstance(named, str) else getattr(named, '__name__', named)}`".replace("|", "\\|")


def _default(parameter: inspect.Parameter) -> str:
    return "" if parameter.default is parameter.empty else f"`{literal(parameter.default)}`".replace("|", "\\|")


def _text_of(part: Any) -> str:
    """What a part says of itself, with its papers linked."""
    if _is_definition(part):
        return linked(inspect.getdoc(part) or "")
    about = str(getattr(part, "about", "") or getattr(part, "description", ""))
    return linked("\n\n".join(said for said in (about[:1].upper() + about[1:], _facts(part)) if said))


def _facts(part: Any) -> str:
    """A table of the plain fields of a value that differ from its class's defaults."""
    fields = [f for f in dataclasses.fields(part) if f.name not in _SAID] if dataclasses.is_dataclass(part) else []
    shown = {f.name: getattr(part, f.name) for f in fields if getattr(part, f.name) != f.default}
    rows = [f"| {name} | {_cell(value)} |" for name, value in shown.items() if value and _is_plain(value)]
    return "\n".join(["| | |", "|---|---|", *rows]) if rows else ""


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and isinstance(x, str | float | int) for key, x in value.items())
    if isinstance(value, tuple | frozenset):
        return all(isinstance(x, str) for x in value)
    return isinstance(value, str | int | float)


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_cell(x)}" for name, x in value.items())
    if isinstance(value, tuple | frozenset):
        return ", ".join(map(_cell, sorted(value) if isinstance(value, frozenset) else value))
    return _code(repr(value)) if isinstance(value, str) else str(value)


def _code(text: str) -> str:
    """``text`` as code, whatever it contains: a regular expression would be read as Markdown, or as HTML."""
    return f"<code>{re.sub(r'[^a-zA-Z0-9 ]', lambda mark: f'&#{ord(mark[0])};', text)}</code>"


def linked(text: str) -> str:
    """``text`` with each paper that it names as a link."""
    return _ARXIV.sub(r"[arXiv \1](https://arxiv.org/abs/\1)", text)


def _python_name(part: Any) -> str:
    name = getattr(part, "__name__", "")
    return f"In Python: `ww.{name}`." if getattr(ww, name, None) is part else ""


def _is_definition(part: Any) -> bool:
    return inspect.isclass(part) or inspect.isfunction(part)
