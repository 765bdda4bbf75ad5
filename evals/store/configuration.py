"""A run's configuration: the settings that decide its results."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from widthwise.evals.store.segment_rows import to_json

_DIGEST = re.compile("[0-9a-f]{64}")
SERVED = "served"
"""The key for the models behind addresses that do not identify them."""
Configuration = Mapping[str, Any]
"""The settings that decide a run's results, as JSON values."""


def entry_of(kind: str, model: str, models: Iterable[str]) -> str:
    """The key of what a manifest says about one of a run's models: that of the first has no name in it."""
    return kind if model == next(iter(models)) else f"{kind} {model}"


def models_in(manifest: Mapping[str, Any]) -> list[str]:
    """The names of the models that sampled a run; that of the first is empty, or what the configuration calls it."""
    others = [key.partition(" ")[2] for key in manifest if key.startswith("backend ")]
    first = str(manifest.get("configuration", {}).get("model") or "").partition("=")[0] if others else ""
    return [first, *others]


def digest(configuration: Configuration) -> str:
    """Identifies a configuration: equal settings have equal digests, whatever their order."""
    text = json.dumps(json.loads(to_json(configuration)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def difference(old: Configuration, new: Configuration) -> str:
    """``seed: 0 -> 1; limit: none -> 5`` for the settings that differ."""
    keys = [k for k in {**old, **new} if old.get(k) != new.get(k) and not (k == SERVED and _agree(old, new))]
    return "; ".join(f"{k}: {_said(old.get(k))} -> {_said(new.get(k))}" for k in keys)


def _agree(old: Configuration, new: Configuration) -> bool:
    """Whether the models behind the addresses may be the same, as far as both configurations name them."""
    then, now = old.get(SERVED) or {}, new.get(SERVED) or {}
    if not _are_mappings(then, now):
        return False
    return all(_alike(then[role], now[role]) for role in then if role in now)


def _alike(then: Any, now: Any) -> bool:
    """Whether two models may be the same; what only one of them states does not make them different."""
    if not _are_mappings(then, now):
        return bool(then == now)
    return all(None in (then[k], now.get(k)) or then[k] == now[k] for k in then)


def _are_mappings(*values: Any) -> bool:
    """A run file may hold anything here."""
    return all(isinstance(value, Mapping) for value in values)


def _said(value: Any) -> str:
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        return value[:8]
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)
