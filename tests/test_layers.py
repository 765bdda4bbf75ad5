"""Imports go one way: core knows nobody, strategies know core only."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "core": {"core"},
    "backends": {"core", "backends"},
    "samplers": {"core", "pruning", "samplers"},
    "pruning": {"core", "pruning"},
    "aggregators": {"core", "aggregators"},
    "models": {"core", "models"},
}


def imported(file: Path) -> Iterator[str]:
    """The widthwise sub-packages that a file imports at run time or for types."""
    for node in ast.walk(ast.parse(file.read_text())):
        names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            head, _, rest = name.partition(".")
            if head == "widthwise":
                yield rest.split(".")[0]


@pytest.mark.parametrize("folder", sorted(ALLOWED))
def test_a_folder_imports_only_what_it_may(folder: str) -> None:
    files = list((ROOT / folder).rglob("*.py"))
    assert files
    for file in files:
        assert set(imported(file)) <= ALLOWED[folder], file


@pytest.mark.parametrize("folder", ["samplers", "pruning", "aggregators"])
def test_strategies_are_pure_control_flow(folder: str) -> None:
    for file in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
                assert (module or "").split(".")[0] in {
                    "__future__", "asyncio", "collections", "dataclasses", "functools", "heapq", "itertools", "math",
                    "numpy", "scipy", "typing", "widthwise",
                }, f"{file} imports {module}"  # fmt: skip
