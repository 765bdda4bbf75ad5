"""The contract of pruners: who among the live traces is not worth more tokens."""

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
    """What a pruner says at a checkpoint.

    ``stop`` names live traces to abort; ``decided`` ends the whole draw, finished traces standing. ``reason`` is
    recorded on every trace that is stopped. ``conclude`` names live traces to state their answer at once: what closes
    their thinking is put behind them, and they go on. ``votes`` says how much finished traces' votes count from now on:
    1 where a trace is not named, 0 for no vote at all; what several pruners say is multiplied.
    """

    stop: frozenset[TraceId] = frozenset()
    decided: bool = False
    reason: str = ""
    votes: Mapping[TraceId, float] = field(default_factory=dict)
    conclude: frozenset[TraceId] = frozenset()


GO_ON = Decision()


class PrunerOf(Protocol[SessionIn]):
    """Looks at the traces of one draw, through the session that drew them, and names those to stop.

    It is asked whenever a trace finishes, the last one included, and, if ``every`` is not None, each time the longest
    live trace has grown by ``every`` tokens. ``finished`` holds all that grow no more, pruned ones included, in the
    order in which they ended; ``total`` is how many traces the draw will have if nobody stops it. A trace whose
    thinking has a budget may be sampled in pieces; what is remembered of it goes by ``trace.head.id``, which stays. A
    pruner may sample (``judging=True``): such draws are nobody's to prune.

    Three attributes are optional. ``logprobs``: how many of the most likely tokens' log-probabilities the traces must
    come with. ``warmup``: so many traces of each draw end before the others begin. ``begin()``: gives the pruner of
    one draw, for those that remember something from one checkpoint to the next.

    The contract is generic in the session, which stands above it; parts are written against ``strategy.Pruner``.
    """

    @property
    def every(self) -> int | None: ...

    async def __call__(
        self, session: SessionIn, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision: ...


def begun(pruner: PrunerOf[SessionT]) -> PrunerOf[SessionT]:
    """The pruner that looks after one draw."""
    begin = getattr(pruner, "begin", None)
    return pruner if begin is None else begin()
