"""Probes: what a growing trace would answer if it had to answer now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from widthwise.core.session.session import Session
from widthwise.core.trace.trace import Trace, TraceId


@dataclass
class Probes:
    """The probes of one draw's traces, the latest last; one every ``every`` tokens until the trace begins to answer.

    On a copy of the trace its thinking is closed, and it is asked for its answer, greedily and in at most
    ``max_tokens``; the trace itself is not affected. Probes are charged as judging.
    """

    every: int
    max_tokens: int
    _found: dict[TraceId, list[Trace]] = field(default_factory=dict)

    def of(self, trace: Trace) -> list[Trace]:
        """The probes of a trace so far."""
        return self._found.get(trace.head.id, [])

    async def ask(self, session: Session, live: Sequence[Trace]) -> list[Trace]:
        """Probe the traces that are due; which these were."""
        due = [trace for trace in live if self._is_due(session, trace)]
        asked = {session.conclude(trace): trace for trace in due}
        for reply in await session.sample(list(asked), judging=True, max_tokens=self.max_tokens, temperature=0.0):
            if reply.stem is not None:
                self._found.setdefault(asked[reply.stem].head.id, []).append(reply)
        return due

    def _is_due(self, session: Session, trace: Trace) -> bool:
        """Whether the trace has not begun to answer, and has grown by ``every`` tokens since its last probe."""
        probed = len(self.of(trace))
        return session.thinking_tokens(trace) is None and trace.drawn >= (probed + 1) * self.every
