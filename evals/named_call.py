"""Names with literal arguments, as commands take them: ``countdown(numbers=4, seed=7)``, ``math(percent=False)``."""

from __future__ import annotations

import ast
from typing import Any

from widthwise.core.errors import UsageError


def named_call(text: str, what: str, example: str) -> tuple[str, dict[str, Any]]:
    """The name and the keyword arguments; nothing is evaluated. Raises UsageError, with an example, for other text."""
    name, bracket, _ = text.partition("(")
    if not bracket:
        return text.strip(), {}
    try:
        call = ast.parse(f"named({text.strip().partition('(')[2]}", mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise ValueError("arguments are written as name=value")
        return name.strip(), {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise UsageError(f"cannot read the {what} {text!r}: write it as {example}") from error
