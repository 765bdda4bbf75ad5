"""The contract of pruners: who among the live traces is not worth more tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from widthwise.core.trace.trace import Trace, TraceId

if TYPE_CHECKING:
    from widthwise.core.session.session import Session


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a pruner says at a checkpoint.

    ``stop`` names live traces to abort; ``decided`` ends the whole draw, finished traces standing. ``reason`` is
    recorded on every trace that is stopped. ``votes`` says how much finished traces' votes count from now on: 1 where
    a trace is not named, 0 for no vote at all; what several pruners say is multiplied.
    """

    stop: frozenset[TraceId] = frozenset()
    decided: bool = False
    reason: str = ""
    votes: Mapping[TraceId, float] = field(default_factory=dict)


GO_ON = Verdict()


class Pruner(Protocol):
    """Looks at the traces of one draw and names those to stop.

    It is asked whenever a trace finishes, the last one included, and, if ``every`` is not None, each time the longest
    live trace has grown by ``every`` tokens. ``finished`` holds all that grow no more, pruned ones included, in the
    order in which they ended; ``total`` is how many traces the draw will have if nobody stops it. A pruner may sample
    (``judging=True``): such draws are nobody's to prune.

    Three attributes are optional. ``logprobs``: how many of the most likely tokens' log-probabilities the traces must
    come with. ``warmup``: so many traces of each draw end before the others begin. ``begin()``: gives the pruner of
    one draw, for those that remember something from one checkpoint to the next.
    """

    @property
    def every(self) -> int | None: ...

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Verdict: ...


def begun(pruner: Pruner) -> Pruner:
    """The pruner that looks after one draw."""
    begin = getattr(pruner, "begin", None)
    return pruner if begin is None else begin()
