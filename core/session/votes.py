"""How much each trace's vote counts."""

from __future__ import annotations

import math
from collections.abc import Mapping

from widthwise.core.trace.trace import TraceId


class Votes:
    """A vote counts 1, unless pruners say otherwise; the weights of several pruners are multiplied."""

    def __init__(self) -> None:
        self._weights: dict[TraceId, dict[int, float]] = {}

    def weigh(self, pruner: int, weights: Mapping[TraceId, float]) -> None:
        """The pruner with this number sets how much these traces' votes count from now on."""
        for trace_id, weight in weights.items():
            self._weights.setdefault(trace_id, {})[pruner] = weight

    def weight(self, trace_id: TraceId) -> float:
        """How much the trace's vote counts; 0 for no vote."""
        return math.prod(self._weights.get(trace_id, {}).values(), start=1.0)
