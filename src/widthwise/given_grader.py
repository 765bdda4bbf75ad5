"""The grader that a caller gives."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from widthwise.backends.called import parameters_of
from widthwise.core.errors import UsageError
from widthwise.core.problem import Grader
from widthwise.core.registry import find, value_of
from widthwise.core.roles import ROLES
from widthwise.evals.grading.function_grader import FunctionGrader


def grader_named(grader: str | Grader | Callable[..., Any]) -> Grader:
    """The grader for a name (with or without arguments), an import path or a function; a ``Grader`` stays as it is.

    Raises ``UsageError`` if it lacks something.
    """
    from widthwise.evals.named_call import named_call
    from widthwise.evals.suites.suites import changed

    if not isinstance(grader, str):
        return _as_grader(grader, type(grader).__name__)
    name, arguments = named_call(grader, "grader", "math(percent=False, last_number=True)")
    entry = find("grader", name)
    part = entry.load()
    of_a_text = inspect.isroutine(part) and len(parameters_of(part) or ()) > 1
    return changed(_as_grader(part if of_a_text else value_of(entry), name), arguments)


def _as_grader(grader: Any, name: str) -> Grader:
    if callable(grader) and not inspect.isclass(grader) and not hasattr(grader, "extract"):
        return FunctionGrader(grader)
    if inspect.isclass(grader):
        raise UsageError(f"the grader {name} is a class: give an object of it")
    ROLES["grader"].check(grader, name)
    return grader  # type: ignore[no-any-return]
