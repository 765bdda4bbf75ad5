"""The page of public names: ``mkdocstrings`` fills in signatures and docstrings."""

from __future__ import annotations

import inspect
from typing import Any

import widthwise as ww
from widthwise.core.registry import entries, role_of
from widthwise.core.roles import ROLES

_TITLES = ("Functions", "Classes", "Errors")


def python_page() -> str:
    """All of ``ww.__all__`` except the built-in parts, which have their own pages."""
    groups: dict[str, list[str]] = {title: [] for title in _TITLES}
    for name in ww.__all__:
        value = getattr(ww, name)
        if not _is_part(value):
            groups[_title(value)].append(f"::: widthwise.{name}")
    sections = [f"## {title}\n\n" + "\n\n".join(lines) for title, lines in groups.items()]
    intro = "`import widthwise as ww`. The built-in parts, such as `ww.BestOfN`, are under their [roles](index.md)."
    return "\n\n".join(["# Python", intro, *sections])


def _title(value: Any) -> str:
    if inspect.isclass(value):
        return "Errors" if issubclass(value, BaseException) else "Classes"
    return "Functions"


def _is_part(value: Any) -> bool:
    built_in = (entry.load() for role in ROLES.values() if role.space == "strategy" for entry in entries(role))
    return role_of(value) is not None and any(value is part for part in built_in)
