"""What two equal runs have in common, as text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from widthwise.evals.store.database import Database
from widthwise.evals.store.outcome import Outcome

_COMPARED = {"problems": "id", "segments": "problem", "traces": "problem", "answers": "problem"}
"""The tables on which equal runs agree, and their column with the problem's id."""

_ENGINE_STATE = frozenset({"prompt_cached", "prompt_computed"})
"""Columns that depend on what else the engine was doing."""

_TIMING = _ENGINE_STATE | {"flops", "seconds", "retries", "kv_peak", "kv_mean", "kv_content_peak", "kv_content_mean"}
"""Figures of the ledger that do so, too."""


def contents(database: Database, configuration: Any, outcomes: Iterable[Outcome]) -> Iterator[str]:
    """One line per row.

    Left out are wall-clock times, whether a prompt token was computed or found in a cache, and how many tokens were
    resident at a time: all depend on what else was running.
    """
    yield "configuration " + json.dumps(configuration, sort_keys=True)
    tables = {**_COMPARED, **({"scores": "problem"} if database.has_scores else {})}
    for outcome in outcomes:
        problem_id = outcome.problem.id
        for table, key in tables.items():
            for row in database.rows(f"SELECT * FROM {table} WHERE {key} = ? ORDER BY 2", problem_id):
                values = {k: _shown(v) for k, v in zip(row.keys(), row, strict=True) if k not in _ENGINE_STATE}
                yield f"{table} {json.dumps(values, sort_keys=True)}"
        spent = _spent(outcome.ledger.record)
        yield f"ledger {problem_id} {json.dumps(spent)} {json.dumps(outcome.errors)}"


def _spent(record: Mapping[str, Any]) -> dict[str, Any]:
    """A ledger without what depends on timing, of all models together and of each."""
    kept = {name: value for name, value in record.items() if name not in _TIMING}
    models = {name: _spent(spending) for name, spending in record.get("models", {}).items()}
    return kept | ({"models": models} if "models" in record else {})


def _shown(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value
