"""Imports go one way: core imports no other folder, strategies import only core, and modules form no cycles."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
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
    "evals": {"core", "backends", "samplers", "pruning", "aggregators", "models", "evals"},
}
ROOMS = {
    "core": {"core/trace"},
    "core/trace": {"core"},
    "core/prompting": {"core", "core/trace"},
    "core/rewards": {"core", "core/prompting"},
    "core/sandbox": {"core"},
    "core/session": {"core", "core/trace", "core/prompting", "core/rewards"},
    "core/scores": {"core", "core/trace", "core/rewards", "core/session"},
    "core/strategy": {"core", "core/trace", "core/session"},
}
"""What each folder of core may import besides itself; "core" means the modules at its root."""


def modules(folder: str = ".") -> dict[str, Path]:
    """The package's modules in a top-level folder (or in all of them), by dotted name."""
    tops = [*ALLOWED, "src/widthwise"] if folder == "." else [folder]
    files = [file for top in tops for file in (ROOT / top).rglob("*.py")]
    return {_module(file.relative_to(ROOT)): file for file in files if file.is_relative_to(ROOT)}


def _module(file: Path) -> str:
    parts = file.with_suffix("").parts
    inside = parts[2:] if parts[0] == "src" else parts
    return ".".join(["widthwise", *inside]).removesuffix(".__init__")


MODULES = modules()


def imported(file: Path) -> Iterator[str]:
    """The package's modules that ``file`` imports, including imports in functions and for types only."""
    for node in ast.walk(ast.parse(file.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            members = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [member if member in MODULES else str(node.module) for member in members]
        yield from (name for name in names if name.partition(".")[0] == "widthwise")


def room(module: str) -> str:
    """``core/trace`` for ``widthwise.core.trace.excerpt``; ``core`` for ``widthwise.core.backend``."""
    return "/".join(module.split(".")[1:-1][:2])


@pytest.mark.parametrize("folder", sorted(ALLOWED))
def test_a_folder_imports_only_what_it_may(folder: str) -> None:
    files = modules(folder).values()
    assert files
    for file in files:
        assert {f"{name}.".split(".")[1] for name in imported(file)} <= ALLOWED[folder], file


def test_a_room_of_core_imports_only_what_it_may() -> None:
    found = {name: file for name, file in modules("core").items() if file.name != "__init__.py"}
    assert {room(name) for name in found} == set(ROOMS)
    for name, file in found.items():
        assert {room(other) for other in imported(file)} <= {room(name), *ROOMS[room(name)]}, file


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {name: set(imported(file)) - {name} for name, file in MODULES.items()}
    assert sum(map(len, graph.values())) > len(MODULES)  # imports were found
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


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
