"""Names for several runs, by which each can be told from the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from widthwise.evals.measure.curves import Curve
from widthwise.evals.store.foreign import RECORDINGS
from widthwise.evals.store.store import Store

_BUDGET = "budget_"
NOT_SETTINGS = frozenset({"strategy", "suite", "problems", "limit"})
"""What compared runs have in common, or what their labels already say."""


def told_apart(curves: Sequence[Curve]) -> list[Curve]:
    """``curves`` of files with labels that differ: the strategy with its budget, then what else differs.

    These are the settings in which runs of one strategy differ (the model, the seed ...), or the file's name if none
    do.
    """
    settings = [_settings(curve.path) for curve in curves]
    names = [_with_budget(curve.label, given) for curve, given in zip(curves, settings, strict=True)]
    names = [_with_differences(i, names, settings) for i in range(len(names))]
    count = Counter(names)
    named = [f"{n} ({Path(c.path).stem})" if count[n] > 1 else n for n, c in zip(names, curves, strict=True)]
    return [replace(curve, label=label) for curve, label in zip(curves, named, strict=True)]


def _settings(path: str) -> dict[str, Any]:
    """A run's settings; recorded generations have none."""
    if Path(path).suffix in RECORDINGS:
        return {}
    with Store.read(path) as store:
        return dict(store.manifest.get("configuration", {}))


def _with_budget(label: str, settings: Mapping[str, Any]) -> str:
    limits = {key.removeprefix(_BUDGET): value for key, value in settings.items() if key.startswith(_BUDGET)}
    said = ", ".join(f"{name}={value}" for name, value in limits.items())
    return f"{label} | budget({said})" if said else label


def _with_differences(number: int, names: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> str:
    """The name of a run, with its settings that others of the same name do not share."""
    alike = [given for name, given in zip(names, settings, strict=True) if name == names[number]]
    keys = {key for given in alike for key in given} - NOT_SETTINGS
    own = settings[number]
    differing = [key for key in sorted(keys) if any(given.get(key) != own.get(key) for given in alike)]
    said = ", ".join(f"{key.replace('_', ' ')} {str(own.get(key, 'by default'))[:60]}" for key in differing)
    return f"{names[number]} ({said})" if said else names[number]
