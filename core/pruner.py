"""The contract of pruners: which live traces are not worth more tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from widthwise.core.brief import Brief
from widthwise.core.trace.trace import Trace, TraceId

SessionT = TypeVar("SessionT")
SessionIn = TypeVar("SessionIn", contravariant=True)


@dataclass(frozen=True, slots=True)
class Decision(Brief):
    """What a pruner decides at a checkpoint.

    ``stop`` names live traces to abort; ``decided`` ends the whole draw and keeps the finished traces. ``reason`` is
    recorded on every trace that is stopped. ``conclude`` names live traces that shall state their answer at once: their
    thinking is closed, and they go on. ``votes`` says how much the votes of finished traces count from now on: 1 for a
    trace that is not named, 0 for no vote at all. The weights of several pruners are multiplied.
    """

    stop: frozenset[TraceId] = frozenset()
    decided: bool = False
    reason: str = ""
    votes: Mapping[TraceId, float] = field(default_factory=dict)
    conclude: frozenset[TraceId] = frozenset()


GO_ON = Decision()


class PrunerOf(Protocol[SessionIn]):
    """Looks at the traces of one draw, through the session that drew them, and names those to stop.

    It is asked whenever a trace finishes, including the last, and, if ``every`` is not None, each time the longest live
    trace has grown by ``every`` tokens. ``finished`` holds all traces that no longer grow, pruned ones included, in the
    order in which they ended; ``total`` is how many traces the draw will have if nothing stops it. A trace with a
    thinking budget may be sampled in pieces; anything remembered about it is keyed by ``trace.head.id``, which stays
    the same. A pruner may sample (``judging=True``); no pruner looks at such draws.

    Three attributes are optional. ``logprobs``: how many of the most likely tokens' log-probabilities the traces must
    carry. ``warmup``: how many traces of each draw end before the others begin. ``begin()``: returns the pruner of one
    draw, for pruners that remember something from one checkpoint to the next.

    The contract is generic in the session, which belongs to a higher layer; parts are written against
    ``strategy.Pruner``.
    """

    @property
    def every(self) -> int | None: ...

    async def __call__(
        self, session: SessionIn, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision: ...


def begun(pruner: PrunerOf[SessionT]) -> PrunerOf[SessionT]:
    """The pruner for one draw."""
    begin = getattr(pruner, "begin", None)
    return pruner if begin is None else begin()
