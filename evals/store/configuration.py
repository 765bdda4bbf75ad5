"""A run's configuration: what decides its results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from widthwise.evals.store.segment_rows import to_json

SERVED = "served"
"""The entry that says which models are behind addresses that do not name them for good."""
Configuration = Mapping[str, Any]
"""The settings that decide a run's results, as JSON values."""


def digest(configuration: Configuration) -> str:
    """Names a configuration: equal settings, equal digest, whatever their order."""
    text = json.dumps(json.loads(to_json(configuration)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def difference(old: Configuration, new: Configuration) -> str:
    """``seed: 0 -> 1; limit: none -> 5`` for the settings that differ."""
    keys = [k for k in {**old, **new} if old.get(k) != new.get(k) and not (k == SERVED and _agree(old, new))]
    return "; ".join(f"{k}: {_said(old.get(k))} -> {_said(new.get(k))}" for k in keys)


def _agree(old: Configuration, new: Configuration) -> bool:
    """Whether nothing speaks against the models behind the addresses being the same, as far as both name them."""
    then, now = old.get(SERVED) or {}, new.get(SERVED) or {}
    return all(_alike(then[role], now[role]) for role in {**then} if role in now)


def _alike(then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """What one of them does not say of its model is not known to be another's."""
    return all(None in (then[k], now.get(k)) or then[k] == now[k] for k in then)


def _said(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)
