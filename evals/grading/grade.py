"""A grader's verdict on an answer, in the form in which it is counted."""

from __future__ import annotations

from numbers import Real

from widthwise.core.problem import Grade, Grader
from widthwise.core.roles import ROLES


def checked(grade: object, grader: Grader) -> Grade:
    """A grade in the form in which it is counted: 0 and 1 are False and True; ``UsageError`` for an invalid one."""
    if not isinstance(grade, bool | Real) or not 0 <= float(grade) <= 1:
        raise ROLES["grader"].mismatch(f"the grader {grader.name}", grade)
    return bool(grade) if float(grade) in (0.0, 1.0) else float(grade)
