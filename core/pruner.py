"""The contract of pruners: who among the live traces is not worth more tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from widthwise.core.trace import Trace, TraceId

if TYPE_CHECKING:
    from widthwise.core.session import Session


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a pruner says at a checkpoint.

    ``stop`` names live traces to abort; ``decided`` ends the whole draw, finished traces standing. ``reason`` is
    recorded on every trace that is stopped.
    """

    stop: frozenset[TraceId] = frozenset()
    decided: bool = False
    reason: str = ""


GO_ON = Verdict()


class Pruner(Protocol):
    """Looks at the traces of one draw and names those to stop.

    It is asked whenever a trace finishes, and, if ``every`` is not None, each time the longest live trace has
    grown by ``every`` tokens. ``finished`` holds all that grow no more, pruned ones included; ``total`` is how many
    traces the draw will have if nobody stops it.
    """

    @property
    def every(self) -> int | None: ...

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Verdict: ...
