"""How many tokens of a problem's trace tree an ideal prefix cache holds, over time."""

from __future__ import annotations

from dataclasses import dataclass, field

from widthwise.core.trace.trace import Trace, TraceId


@dataclass(slots=True, eq=False)
class Residency:
    """Unique tokens resident: those on the paths of traces that may still grow, every shared segment once.

    Time is counted in sampled tokens: ``mean`` is what was resident on average when a token was sampled, ``peak``
    the most that ever was. Prompts are included. Holding and releasing cost the same whatever the tree's size.
    """

    resident: int = 0
    peak: int = 0
    _area: int = 0
    _sampled: int = 0
    _holders: dict[TraceId, int] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        return self._area / self._sampled if self._sampled else 0.0

    def hold(self, trace: Trace) -> None:
        """Keep ``trace``'s path; once for every ``release`` to come."""
        for node in trace.lineage:
            holders = self._holders.get(node.id, 0)
            self._holders[node.id] = holders + 1
            if holders:
                return
            self.resident += len(node.segment)

    def release(self, trace: Trace) -> None:
        """Let go of ``trace``'s path, as far as nobody else holds it."""
        for node in trace.lineage:
            self._holders[node.id] -= 1
            if self._holders[node.id]:
                return
            del self._holders[node.id]
            self.resident -= len(node.segment)

    def grow(self, tokens: int) -> None:
        """So many tokens were sampled behind what is held."""
        self.resident += tokens
        self.peak = max(self.peak, self.resident)
        self._area += self.resident * tokens
        self._sampled += tokens

    def shrink(self, tokens: int) -> None:
        """A branch of so many tokens ended; its trace is held from now on, or gone."""
        self.resident -= tokens
