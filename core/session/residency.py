"""How many tokens of a problem's trace tree an ideal prefix cache holds, over time."""

from __future__ import annotations

from dataclasses import dataclass, field

from widthwise.core.session.gauge import Gauge
from widthwise.core.trace.trace import Trace, TraceId


@dataclass(slots=True, eq=False)
class Residency:
    """Unique resident tokens: those on the paths of traces that may still grow, every shared segment once.

    Siblings with equal text count separately: an engine that shares by request holds both while they are decoded.
    ``gauge`` records what was resident over sampled tokens. Prompts are included. The cost of holding and releasing
    does not depend on the size of the tree.
    """

    resident: int = 0
    gauge: Gauge = field(default_factory=Gauge)
    _holders: dict[TraceId, int] = field(default_factory=dict)

    def hold(self, trace: Trace) -> None:
        """Keep ``trace``'s path; once for every later ``release``."""
        for node in trace.lineage:
            holders = self._holders.get(node.id, 0)
            self._holders[node.id] = holders + 1
            if holders:
                return
            self.resident += len(node.segment)

    def release(self, trace: Trace) -> None:
        """Let go of ``trace``'s path, except for what something else holds."""
        for node in trace.lineage:
            self._holders[node.id] -= 1
            if self._holders[node.id]:
                return
            del self._holders[node.id]
            self.resident -= len(node.segment)

    def grow(self, tokens: int) -> None:
        """So many tokens were sampled after what is held."""
        self.resident += tokens
        self.gauge.note(self.resident, tokens)

    def shrink(self, tokens: int) -> None:
        """A branch of so many tokens ended; its trace is either held from now on or gone."""
        self.resident -= tokens
