"""Whoever annotates types can name them: all that public signatures mention is importable from ``widthwise``."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, ParamSpec, TypeVar, get_overloads

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


@cache
def aliases(module: ModuleType) -> dict[str, ast.expr]:
    """What a module assigns to names that begin with a capital: its aliases of types."""
    found: dict[str, ast.expr] = {}
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(target, ast.Name) and node.value:
                found |= {target.id: node.value} if target.id[0].isupper() else {}
    return found


def home(name: str, module: ModuleType) -> tuple[str, ModuleType] | None:
    """The module of ours that defines what a name in an annotation means, and its name there; None for others."""
    while name in imported(module):
        origin, name = imported(module)[name]
        if not origin.startswith("widthwise"):
            return None
        module = importlib.import_module(origin)
    return (name, module) if name in vars(module) else None


def is_type(name: str, module: ModuleType) -> bool:
    """Whether a name of a module is a class of ours or an alias."""
    meant = vars(module)[name]
    if name in aliases(module):
        return not isinstance(meant, TypeVar | ParamSpec)
    return isinstance(meant, type) and meant.__module__.startswith("widthwise")


def names_in(annotation: Any) -> Iterator[str]:
    """The names of an annotation; neither the values of a Literal nor what annotates a type."""
    tree = ast.parse(annotation, mode="eval").body if isinstance(annotation, str) else annotation
    if isinstance(tree, ast.Subscript) and isinstance(tree.value, ast.Name):
        if tree.value.id == "Literal":
            return
        if tree.value.id == "Annotated" and isinstance(tree.slice, ast.Tuple):
            tree = tree.slice.elts[0]
    if isinstance(tree, ast.Name):
        yield tree.id
    elif isinstance(tree, ast.Constant) and isinstance(tree.value, str):
        yield from names_in(tree.value)
    else:
        for child in ast.iter_child_nodes(tree):
            yield from names_in(child)


def functions_of(value: Any) -> Iterator[FunctionType]:
    """A function, or the public methods, operators and properties of a class of ours, and what makes it."""
    if isinstance(value, FunctionType):
        yield from get_overloads(value) or [value]
        return
    for owner in value.__mro__:
        if not owner.__module__.startswith("widthwise"):
            continue
        for name, member in vars(owner).items():
            if name.startswith("_") and not name.endswith("__"):
                continue
            held = [getattr(member, of, None) for of in ("__func__", "fget", "func")]
            found = inspect.unwrap(next(filter(None, held), member))
            if isinstance(found, FunctionType) and found.__module__.startswith("widthwise"):
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


def ours_in(annotations: Iterable[tuple[Any, ModuleType]]) -> Iterator[tuple[str, ModuleType]]:
    """The types of ours, aliases too, that annotations name: how they are named, and where they are defined."""
    for annotation, module in annotations:
        for name in names_in(annotation if isinstance(annotation, str | ast.AST) else ast.Constant(None)):
            found = home(name, module)
            if found and is_type(*found) and not found[0].startswith("_"):
                yield found


def parts_of(name: str, module: ModuleType) -> Iterable[tuple[Any, ModuleType]]:
    """The annotations of a type of ours, or what an alias stands for."""
    return [(aliases(module)[name], module)] if name in aliases(module) else annotations_of(vars(module)[name])


@cache
def mentioned() -> frozenset[tuple[str, ModuleType]]:
    """All types of ours that signatures mention, also those of the types themselves."""
    queue = [found for value in PUBLIC.values() for found in ours_in(annotations_of(value))]
    known = set(queue)
    while queue:
        found = set(ours_in(parts_of(*queue.pop()))) - known
        known |= found
        queue += found
    return frozenset(known)


def test_every_type_of_a_public_signature_is_importable() -> None:
    names = {name for name, _ in mentioned()}
    assert {"Curve", "Comparison", "Summary", "Sweep", "Fitted", "Outcome", "Listener", "Switch"} <= names
    assert {"Axis", "Prices", "AnyModel", "AnswerGrouping", "Graded", "FloatArray", "TraceId", "TieBreak"} <= names
    assert len(names) > 130
    missing = {(name, module.__name__) for name, module in mentioned() if not exported(name, module)}
    assert missing == set()


def exported(name: str, module: ModuleType) -> bool:
    """Whether ``widthwise`` offers just this under its name."""
    return getattr(ww, name, None) is vars(module)[name]


def test_no_type_is_exported_in_vain() -> None:
    from widthwise import types

    assert set(types.__all__) - {name for name, _ in mentioned()} == set()
    assert set(types.__all__) & set(ww.__all__) == set()


ONE_WORD = {
    "Axis",
    "Contestants",
    "Finish",
    "Grade",
    "Graded",
    "Message",
    "Messages",
    "Prices",
    "Traces",
}
"""Aliases that are clear without a second word."""


def test_an_alias_says_of_what_it_is_one() -> None:
    from widthwise import types

    named = {name for name, module in mentioned() if name in aliases(module) and name in types.__all__}
    assert {"RewardKind", "VoteOrder", "TieBreak"} <= named
    assert {name for name in named if not re.search("[a-z][A-Z]", name)} == ONE_WORD


def test_they_are_imported_when_they_are_named() -> None:
    code = (
        "import sys, widthwise as ww; before = 'scipy' in sys.modules; ww.Curve; print(before, 'scipy' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "True"]


@pytest.mark.parametrize("name", ["Curv", "annotations", "np", "__wrapped__"])
def test_what_there_is_not_is_still_an_error_and_imports_nothing(name: str) -> None:
    code = (
        "import sys, widthwise as ww; found = hasattr(ww, sys.argv[1]); "
        "print(found, 'scipy' in sys.modules, 'widthwise.types' in sys.modules)"
    )
    if name != "annotations":  # a future statement binds this one in every module that has it
        with pytest.raises(AttributeError, match=f"module 'widthwise' has no attribute '{name}'"):
            getattr(ww, name)
    ran = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [str(name == "annotations"), "False", "False"]


def test_the_names_are_known_before_anything_is_imported() -> None:
    from widthwise import types
    from widthwise.type_names import TYPE_NAMES

    assert set(types.__all__) == TYPE_NAMES
    assert {*TYPE_NAMES, *ww.__all__} <= set(dir(ww))


@pytest.mark.slow
def test_a_type_checker_knows_them(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    program = tmp_path / "program.py"
    program.write_text(
        "import widthwise as ww\n\n"
        "def last(curve: ww.Curve) -> ww.CurveLine:\n    return curve.lines['run']\n\n"
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
