"""A pruner that looks after one draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

from widthwise.core.errors import BudgetReached
from widthwise.core.pruner import GO_ON, Decision, PrunerOf, SessionT, begun
from widthwise.core.roles import ROLES
from widthwise.core.trace.trace import Trace


@dataclass(frozen=True, slots=True)
class Watch(Generic[SessionT]):
    """A pruner, and the session (or the view of one) through which it looks at the draw."""

    pruner: PrunerOf[SessionT]
    session: SessionT

    def begun(self) -> Watch[SessionT]:
        """The watch over one draw, with what the pruner remembers of it."""
        return Watch(begun(self.pruner), self.session)

    def due(self, before: int, longest: int) -> bool:
        """Whether a checkpoint lies between two lengths of the longest live trace, in tokens."""
        every: int | None = getattr(self.pruner, "every", None)
        return every is not None and before // every < longest // every

    async def decision(self, live: Sequence[Trace], finished: Sequence[Trace], total: int) -> Decision:
        """What the pruner decides; no change if it needs a judge and no budget is left for one."""
        try:
            decision = await self.pruner(self.session, live, finished, total)
        except BudgetReached:
            return GO_ON
        if not isinstance(decision, Decision):
            raise ROLES["pruner"].mismatch(str(self.pruner), decision)
        return decision
