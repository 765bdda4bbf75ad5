"""What a run file says of its model's shape; a file may say anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.model_shape import ModelShape

_LARGEST = 2**63


def shape_in(manifest: Mapping[str, Any]) -> ModelShape | None:
    """The shape from which the run's FLOPs were counted; None if it was not known.

    Raises ``UsageError`` for an entry that no run has written.
    """
    said = manifest.get("shape")
    if said is None:
        return None
    names = [field.name for field in fields(ModelShape)]
    if not isinstance(said, dict) or set(said) != set(names) or not all(map(_is_cost, said.values())):
        raise UsageError("the run file is damaged: it does not say what a token of its model costs")
    return ModelShape(**said)


def _is_cost(value: object) -> bool:
    return type(value) is int and 0 <= value < _LARGEST
