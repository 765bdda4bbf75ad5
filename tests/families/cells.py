"""Which feature is tested with which family: the table in ``docs/models.md`` has these cells and no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.families.checkpoints import FAMILIES

THINKING = ("deepseek-r1", "gpt-oss", "qwen3")
EVERY = tuple(sorted(FAMILIES))
CELLS: dict[str, tuple[str, ...]] = {}
"""The families of each feature, as the tests say them."""


def cell(feature: str, families: tuple[str, ...] = EVERY) -> Callable[[Any], Any]:
    """Marks the test of a feature, which is run with each of the families."""
    assert feature not in CELLS
    CELLS[feature] = families
    return pytest.mark.parametrize("name", families)
