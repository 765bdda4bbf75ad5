"""The layouts that a run can be written in, by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from widthwise.core.errors import UsageError
from widthwise.core.installation import install_command
from widthwise.core.registry import nearest
from widthwise.evals.store.exchange import export_run
from widthwise.evals.store.lm_eval_export import export_samples
from widthwise.evals.store.store import Store

Exporter = Callable[[Store, Path], int]
"""Writes a run to a file, and returns the number of problems written."""


def _inspect_log(store: Store, path: Path) -> int:
    if find_spec("inspect_ai") is None:
        raise UsageError(f"logs of inspect_ai are written by Inspect itself: {install_command('inspect')}")
    if path.suffix not in (".eval", ".json"):
        raise UsageError(f"cannot export to {path}: the name of a log of inspect_ai must end in .eval or .json")
    from widthwise.integrations.inspect.export import export_log

    return export_log(store, path)


EXPORTERS: dict[str, Exporter] = {"recorded": export_run, "inspect_ai": _inspect_log, "lm_eval": export_samples}


def exporter_named(name: str) -> Exporter:
    """The exporter for a layout; ``UsageError`` for an unknown name."""
    if name not in EXPORTERS:
        raise UsageError(f"there is no layout {name!r}{nearest(name, EXPORTERS)} (layouts: {', '.join(EXPORTERS)})")
    return EXPORTERS[name]
