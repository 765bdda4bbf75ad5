"""The axes of budgets."""

from __future__ import annotations

from typing import Literal

Axis = Literal["samples", "tokens", "sequential", "seconds", "thinking"]
AXES: dict[Axis, str] = {
    "samples": "samples per problem",
    "tokens": "sampled tokens per problem",
    "sequential": "sequential tokens per problem",
    "seconds": "wall-clock seconds per problem",
    "thinking": "tokens that each trace may think",
}
