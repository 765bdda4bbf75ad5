"""Texts with places to fill, such as ``{problem}``."""

from __future__ import annotations

import re

from widthwise.core.errors import UsageError

_PLACE = re.compile(r"\{([a-z_]+)\}")


def places(template: str) -> list[str]:
    """The names of the places in ``template``, in order."""
    return _PLACE.findall(template)


def filled(template: str, /, **fields: str) -> str:
    """``template`` with its places filled in one pass: braces in a problem or a draft stay as they are.

    Raises ``UsageError`` for a place that no field fills.
    """

    def fill(place: re.Match[str]) -> str:
        if place[1] not in fields:
            raise UsageError(f"a prompt has the place {place[0]}, but only these are filled: {', '.join(fields)}")
        return fields[place[1]]

    return _PLACE.sub(fill, template)
