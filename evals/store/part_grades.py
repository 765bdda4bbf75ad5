"""Grades of answers that are right in part, as a run file keeps them: in the fields of their problem.

The columns of a run file hold only right and wrong, so older versions read these answers as wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from widthwise.core.trace.trace import name
from widthwise.evals.store.outcome import Graded, Outcome

_FIELD = "part_grades"
_ANSWER = "answer"
"""The entry of the strategy's answer; those of traces have their ids."""


def parts_of_grades(outcome: Outcome) -> dict[str, Any]:
    """The field that keeps them; empty if every answer is right or wrong."""
    graded = {_ANSWER: outcome.correct, **{name(leaf.id): leaf.correct for leaf in outcome.leaves}}
    parts = {place: grade for place, grade in graded.items() if isinstance(grade, float)}
    return {_FIELD: parts} if parts else {}


def with_parts(outcome: Outcome) -> Outcome:
    """An outcome from its columns, with the grades that its fields keep; ValueError for invalid ones."""
    if _FIELD not in outcome.fields:
        return outcome
    parts = outcome.fields[_FIELD]
    if not isinstance(parts, dict) or not all(isinstance(g, float) and 0 < g < 1 for g in parts.values()):
        raise ValueError("grades in part contain something other than numbers between 0 and 1")
    leaves = tuple(replace(leaf, correct=_part(parts, name(leaf.id), leaf.correct)) for leaf in outcome.leaves)
    fields = {key: value for key, value in outcome.fields.items() if key != _FIELD}
    return replace(outcome, correct=_part(parts, _ANSWER, outcome.correct), leaves=leaves, fields=fields)


def _part(parts: Mapping[str, float], place: str, correct: Graded) -> Graded:
    return correct if correct is not False else parts.get(place, correct)
