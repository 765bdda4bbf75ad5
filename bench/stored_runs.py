"""Runs that a bench keeps as files, so that the same command continues where it was stopped."""

from __future__ import annotations

from pathlib import Path

from widthwise.evals.store.outcome import Outcome
from widthwise.evals.store.store import Store


def slug(strategy: str) -> str:
    """A strategy as part of a file's name."""
    return "".join(each if each.isalnum() else "-" for each in strategy.replace(" ", ""))[:140]


def finished(file: Path, problems: int) -> list[Outcome] | None:
    """The outcomes of a run in the order of its problems; None if some are missing."""
    if not file.exists():
        return None
    with Store.read(file) as store:
        found = [outcome for outcome in store.outcomes() if outcome.state == "done"]
    return sorted(found, key=lambda outcome: outcome.problem.id) if len(found) == problems else None
