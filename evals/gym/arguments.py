"""Arguments of generators, which somebody's run file may hold: nothing in them can be called.

Some generators of reasoning-gym evaluate expressions that they put together of their arguments, operators for instance,
so the texts among these have no brackets and no quotes.
"""

from __future__ import annotations

import json
import re
from typing import Any

from widthwise.core.errors import UsageError

_TEXT = re.compile(r"(?!.*\.\.)[\w +\-*/.,:;%^&|<>]*")
_MOST_CHARS = 10_000


def plain_arguments(name: str, config: dict[str, Any]) -> dict[str, Any]:
    """The arguments as a run file can keep them; raises UsageError for what no generator is given."""
    try:
        text = json.dumps(config)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"gym:{name}: its arguments must be numbers, texts, lists or dictionaries: {error}") from error
    if len(text) > _MOST_CHARS:
        raise UsageError(f"gym:{name}: its arguments are longer than {_MOST_CHARS} characters")
    plain: dict[str, Any] = json.loads(text)
    for said in _texts(plain):
        if not _TEXT.fullmatch(said):
            raise UsageError(f"gym:{name}: {said[:60]!r} among its arguments has characters that are not taken here")
    return plain


def _texts(value: Any) -> list[str]:
    """All texts in a value, the names in dictionaries too."""
    if isinstance(value, dict):
        return [*value, *(text for item in value.values() for text in _texts(item))]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []
