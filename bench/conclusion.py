"""How a bench on an open engine ends: the engine closed, the figures printed, the goal judged."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

from widthwise.core.backend import Backend

T = TypeVar("T")


async def closing(backend: Backend, measuring: Awaitable[T]) -> T:
    """What ``measuring`` gives; the engine is closed then, whatever happens."""
    try:
        return await measuring
    finally:
        await backend.close()


def status(found: Mapping[str, Any], as_json: bool) -> int:
    """Print the figures; the exit status, 1 where the goal was not ``reached``."""
    print(json.dumps(found) if as_json else "\n".join(f"{key}: {value}" for key, value in found.items()))
    return 0 if found["reached"] else 1
