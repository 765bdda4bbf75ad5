"""Whoever annotates types can name them: all that public signatures mention is importable from ``widthwise``."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, get_overloads

import pytest

import widthwise as ww

PUBLIC = {name: getattr(ww, name) for name in ww.__all__}


@cache
def imported(module: ModuleType) -> dict[str, tuple[str, str]]:
    """Where the names come from that a module imports, also for its annotations alone."""
    tree = ast.parse(inspect.getsource(module))
    return {
        each.asname or each.name: (node.module, each.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
        for each in node.names
    }


def resolved(name: str, module: ModuleType) -> Any:
    """What a name in an annotation means; None if it is not ours."""
    if name in imported(module):
        origin, original = imported(module)[name]
        return getattr(importlib.import_module(origin), original) if origin.startswith("widthwise") else None
    return vars(module).get(name)


def names_in(annotation: Any) -> Iterator[str]:
    for node in ast.walk(ast.parse(str(annotation), mode="eval")):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value


def functions_of(value: Any) -> Iterator[FunctionType]:
    """A function, or the public methods and properties of a class of ours, and what makes it."""
    if isinstance(value, FunctionType):
        yield from get_overloads(value) or [value]
        return
    for owner in value.__mro__:
        if not owner.__module__.startswith("widthwise"):
            continue
        for name, member in vars(owner).items():
            if name.startswith("_"):
                continue
            held = [getattr(member, of, None) for of in ("__func__", "fget", "func")]
            found = inspect.unwrap(next(filter(None, held), member))
            if isinstance(found, FunctionType):
                yield from get_overloads(found) or [found]


def annotations_of(value: Any) -> Iterator[tuple[Any, ModuleType]]:
    for function in functions_of(value):
        for annotation in function.__annotations__.values():
            yield annotation, importlib.import_module(function.__module__)
    if isinstance(value, type):
        for owner in value.__mro__:
            if owner.__module__.startswith("widthwise"):
                for name, annotation in vars(owner).get("__annotations__", {}).items():
                    if not name.startswith("_"):
                        yield annotation, importlib.import_module(owner.__module__)


def ours_in(value: Any) -> dict[str, Any]:
    found = {}
    for annotation, module in annotations_of(value):
        for name in names_in(annotation):
            meant = resolved(name, module)
            if meant is not None and str(getattr(meant, "__module__", "widthwise")).startswith("widthwise"):
                found[name] = meant
    return found


def mentioned() -> dict[str, Any]:
    """All types of ours that signatures mention, also those of the types themselves, by name."""
    known, queue = dict(PUBLIC), list(PUBLIC.values())
    while queue:
        value = queue.pop()
        found = ours_in(value) if isinstance(value, type | FunctionType) else {}
        queue += [meant for name, meant in found.items() if name not in known]
        known = {**found, **known}
    return {name: meant for name, meant in known.items() if isinstance(meant, type) and not name.startswith("_")}


def test_every_type_of_a_public_signature_is_importable() -> None:
    found = mentioned()
    assert {"Curve", "Comparison", "Summary", "Sweep", "Fitted", "Outcome", "Listener"} <= found.keys()
    assert len(found) > 150
    assert {name for name, meant in found.items() if getattr(ww, name, None) is not meant} == set()


def test_no_type_is_exported_in_vain() -> None:
    from widthwise import types

    mentions = {name for value in [*PUBLIC.values(), *mentioned().values()] for name in ours_in_any(value)}
    assert set(types.__all__) - mentions == set()
    assert set(types.__all__) & set(ww.__all__) == set()


def ours_in_any(value: Any) -> dict[str, Any]:
    return ours_in(value) if isinstance(value, type | FunctionType) else {}


def test_they_are_imported_when_they_are_named() -> None:
    code = (
        "import sys, widthwise as ww; before = 'scipy' in sys.modules; ww.Curve; print(before, 'scipy' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "True"]


def test_what_there_is_not_is_still_an_error() -> None:
    with pytest.raises(AttributeError, match="module 'widthwise' has no attribute 'Curv'"):
        ww.Curv  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.slow
def test_a_type_checker_knows_them(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    program = tmp_path / "program.py"
    program.write_text(
        "import widthwise as ww\n\n"
        "def last(curve: ww.Curve) -> ww.Line:\n    return curve.lines['run']\n\n"
        "found: ww.Comparison = ww.compare('a.db')\nwrong: int = found.standings[0]\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(program)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MYPYPATH": str(Path(ww.__file__).parents[1])},
    )
    assert "Incompatible types in assignment" in ran.stdout
    assert ran.stdout.count("error:") == 1
