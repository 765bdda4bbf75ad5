"""Arguments of generators, which may come from someone else's run file: nothing in them can be called.

Some generators of reasoning-gym evaluate expressions that they build from their arguments, such as operators, so texts
among the arguments must not contain brackets or quotes.
"""

from __future__ import annotations

import json
import re
from typing import Any

from widthwise.core.errors import UsageError

_TEXT = re.compile(r"(?!.*\.\.)[\w +\-*/.,:;%^&|<>]*")
_MOST_CHARS = 10_000


def plain_arguments(name: str, config: dict[str, Any]) -> dict[str, Any]:
    """The arguments in a form that a run file can keep; raises UsageError for what no generator may be given."""
    try:
        text = json.dumps(config)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"gym:{name}: its arguments must be numbers, texts, lists or dictionaries: {error}") from error
    if len(text) > _MOST_CHARS:
        raise UsageError(f"gym:{name}: its arguments are longer than {_MOST_CHARS} characters")
    plain: dict[str, Any] = json.loads(text)
    for said in _texts(plain):
        if not _TEXT.fullmatch(said):
            raise UsageError(f"gym:{name}: {said[:60]!r} among its arguments has characters that are not allowed here")
    return plain


def _texts(value: Any) -> list[str]:
    """All texts in a value, including the names in dictionaries."""
    if isinstance(value, dict):
        return [*value, *(text for item in value.values() for text in _texts(item))]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []
