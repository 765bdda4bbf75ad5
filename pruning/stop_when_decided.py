"""Stop sampling once the vote can no longer change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from widthwise.core.pruner import GO_ON, Decision
from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.part import Part
from widthwise.core.trace.trace import Trace


@register("pruner")
@dataclass(frozen=True)
class StopWhenDecided(Part):
    """Ends a draw when the leading answer's lead is larger than the number of traces still to come.

    The majority vote over all traces would give the same answer, whatever the rest say: only tokens are saved. (Each
    trace still running can add at most one vote to the runner-up.)
    """

    @property
    def every(self) -> int | None:
        return None

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        votes = sorted((len(c.traces) for c in await session.classes(finished)), reverse=True)
        if not votes:
            return GO_ON
        outstanding = total - len(finished)
        lead = votes[0] - (votes[1] if len(votes) > 1 else 0)
        if lead <= outstanding:
            return GO_ON
        return Decision(decided=True, reason=f"decided: {lead} votes ahead, {outstanding} to come")
