"""Rows of a run file as values.

Any file may claim to be a run: each function raises ``ValueError`` (or another error of values) for invalid content.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, get_args

from widthwise.core.plain_json import parse as parse_json
from widthwise.core.problem import Problem
from widthwise.core.rewards.reward import StepScores
from widthwise.core.session.ledger import FIGURES, Ledger, Spending
from widthwise.core.trace.trace import Finish
from widthwise.evals.store.outcome import Leaf, Outcome, OutcomeState
from widthwise.evals.store.part_grades import with_parts
from widthwise.evals.store.segment_rows import json_object, parse

_COUNTS = frozenset(FIGURES)
_OF_A_MODEL = frozenset(field.name for field in fields(Spending))
_OBJECTS = ("backend", "reward_model", "embedding_model", "versions", "asking")
_WORDS = ("suite", "model", "strategy")


def manifest_of(rows: Iterable[sqlite3.Row]) -> dict[str, Any]:
    """What a run says of itself; entries that other code relies on have the right types."""
    manifest = {row["key"]: parse_json(row["value"], finite=False) for row in rows}
    said = manifest.get("configuration", {})
    for name in _OBJECTS:
        of_models = [manifest.get(key, {}) for key in manifest if key == name or key.startswith(f"{name} ")]
        if not all(isinstance(value, dict) for value in of_models):
            raise ValueError(f"its manifest's {name} is not an object")
    if not isinstance(said, dict) or not all(isinstance(said.get(name), str | None) for name in _WORDS):
        raise ValueError("its configuration is not an object")
    return manifest


def problem_of(row: sqlite3.Row) -> Problem:
    return Problem(row["id"], row["text"], row["answer"], json_object(row["metadata"]))


def outcome_of(
    row: sqlite3.Row,
    traces: Iterable[sqlite3.Row],
    answer: sqlite3.Row | None,
    spent: sqlite3.Row | None,
    errors: Sequence[str],
) -> Outcome:
    """A problem's row with the rows that belong to it."""
    if row["state"] not in get_args(OutcomeState):
        raise ValueError(f"problem {row['id'][:40]!r} is in an unknown state")
    outcome = Outcome(
        problem_of(row),
        state=row["state"],
        leaves=tuple(sorted(map(leaf_of, traces), key=lambda leaf: leaf.id)),
        ledger=Ledger() if spent is None else ledger_of(spent["spent"]),
        errors=tuple(errors),
        fields=json_object(row["fields"]),
    )
    if answer is None:
        return outcome
    answered = replace(
        outcome,
        answer=answer["answer"],
        correct=_truth(answer["correct"]),
        tied=bool(answer["tied"]),
        trace=None if answer["trace"] is None else parse(answer["trace"]),
    )
    return with_parts(answered)


def leaf_of(row: sqlite3.Row) -> Leaf:
    if row["finish"] not in (None, *get_args(Finish)) or row["tokens"] < 0:
        raise ValueError(f"trace {row['trace'][:40]!r} has an invalid end or length")
    return Leaf(parse(row["trace"]), row["finish"], row["tokens"], row["answer"], _truth(row["correct"]), row["class"])


def ledger_of(text: str) -> Ledger:
    spent = json_object(text)
    models = spent.pop("models", {})
    if not isinstance(models, dict) or not all(isinstance(each, dict) for each in models.values()):
        raise ValueError("a ledger does not say what each model cost")
    for counts, known in ((spent, _COUNTS), *((each, _OF_A_MODEL) for each in models.values())):
        if not set(counts) <= known or not all(map(_is_count, counts.values())):
            raise ValueError("a ledger contains something other than counts")
    return Ledger(**spent, models={name: Spending(**each) for name, each in models.items()})


def scores_of(row: sqlite3.Row) -> StepScores:
    steps = None if row["steps"] is None else parse_json(row["steps"])
    if steps is not None and not (isinstance(steps, list) and all(map(_is_count, steps))):
        raise ValueError("scores of steps are not numbers")
    return StepScores(None if steps is None else tuple(steps), row["tokens"], row["error"])


def _is_count(value: object) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value < 2**63
    )


def _truth(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def notes_of(fields: Mapping[str, Any]) -> list[tuple[tuple[int, ...], str]]:
    """The notes of a problem's traces; a recording may have a field with that name too, with another meaning."""
    noted = fields.get("notes")
    pairs = [pair for pair in noted if isinstance(pair, list) and len(pair) == 2] if isinstance(noted, list) else []
    return [(parse(trace), text) for trace, text in pairs if isinstance(trace, str) and isinstance(text, str)]
