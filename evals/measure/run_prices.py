"""What the models of a stored run cost: prices that are given, laid over those that its file has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from widthwise.evals.store.configuration import models_in
from widthwise.evals.store.outcome import Outcome


def models_of(manifest: Mapping[str, Any], outcomes: Sequence[Outcome]) -> list[str]:
    """The names of a run's models, used or not; the empty name for a single one that has none."""
    used = [name for outcome in outcomes for name in outcome.ledger.models]
    named = [name for name in models_in(manifest) if name]
    return list(dict.fromkeys([*named, *used])) or [""]
