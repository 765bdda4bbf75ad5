"""Which feature is tested with which family: the table in ``docs/models.md`` has exactly these cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.families.checkpoints import FAMILIES

THINKING = ("deepseek-r1", "gpt-oss", "qwen3")
EVERY = tuple(sorted(FAMILIES))
CELLS: dict[str, tuple[str, ...]] = {}
"""The families with which each feature is tested, as the tests declare."""


def cell(feature: str, families: tuple[str, ...] = EVERY) -> Callable[[Any], Any]:
    """Marks the test of a feature and runs it with each of the families."""
    assert feature not in CELLS
    CELLS[feature] = families
    return pytest.mark.parametrize("name", families)
