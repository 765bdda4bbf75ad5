"""How a bench on an open engine ends: it closes the engine, prints the figures and checks the goal."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

from widthwise.core.backend import Backend

T = TypeVar("T")


async def closing(backend: Backend, measuring: Awaitable[T]) -> T:
    """What ``measuring`` gives; then the engine is closed, whatever happens."""
    try:
        return await measuring
    finally:
        await backend.close()


def status(found: Mapping[str, Any], as_json: bool) -> int:
    """Print the figures; the exit status, 1 if the goal was not ``reached``."""
    print(json.dumps(found) if as_json else "\n".join(f"{key}: {value}" for key, value in found.items()))
    return 0 if found["reached"] else 1
