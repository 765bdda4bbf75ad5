"""What the stopping rules of a vote have in common: they check whether the answers so far suffice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from widthwise.core.pruner import GO_ON, Decision
from widthwise.core.session.session import Session
from widthwise.core.strategy.part import Part
from widthwise.core.trace.trace import Trace

VoteOrder = Literal["launch", "completion"]
"""The order in which a rule reads the answers. Short traces finish first: reading them as they arrive favours answers
that are quick to reach, and voids every guarantee about independent samples.
"""


@dataclass(frozen=True, slots=True)
class Votes:
    """The answers so far: each trace's class (None: no answer stated), and how many traces are still to come."""

    labels: tuple[int | None, ...]
    outstanding: int

    @property
    def counts(self) -> tuple[int, ...]:
        """The classes' sizes, largest first, and a zero for an answer that no trace has given yet."""
        sizes = Counter(label for label in self.labels if label is not None)
        return (*sorted(sizes.values(), reverse=True), 0)

    @property
    def lead(self) -> int:
        """Votes between the first and the second."""
        return self.counts[0] - self.counts[1] if len(self.counts) > 1 else 0


class StoppingRule(Part):
    """Ends a draw when the answers so far suffice; the base of rules, which decide this in ``decides``.

    A rule is asked about every prefix of the answers, in the order ``order``, and the first prefix that satisfies it
    counts: only its traces vote. With ``order="launch"`` a rule's answer therefore does not depend on which trace
    happened to finish first, nor on how many tokens an engine delivers at a time.
    """

    order: VoteOrder

    @property
    def every(self) -> int | None:
        return None

    def decides(self, votes: Votes) -> str | None:
        """Why no more answers are needed, in a few words; None if more are needed."""
        raise NotImplementedError

    def voters(self, votes: Votes) -> int:
        """How many of the last answers vote, once the rule has decided."""
        return len(votes.labels)

    def first_stop(self, labels: Sequence[int | None], total: int) -> tuple[Votes, str] | None:
        """The shortest prefix of ``labels`` that suffices, and why."""
        for k in range(1, len(labels) + 1):
            votes = Votes(tuple(labels[:k]), total - k)
            if (reason := self.decides(votes)) is not None:
                return votes, reason
        return None

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        observed = in_order(live, finished, self.order)
        found = self.first_stop(await labelled(session, observed), total)
        if found is None:
            return GO_ON
        votes, reason = found
        end = len(votes.labels)
        chosen = {t.id for t in observed[end - self.voters(votes) : end]}
        return Decision(decided=True, reason=reason, votes={t.id: 0.0 for t in finished if t.id not in chosen})


def in_order(live: Sequence[Trace], finished: Sequence[Trace], order: VoteOrder) -> list[Trace]:
    """The finished traces that a rule may read; in order of launch, those before the first that still grows."""
    if order == "completion":
        return list(finished)
    frontier = min((t.id for t in live), default=None)
    return [t for t in sorted(finished, key=lambda t: t.id) if frontier is None or t.id < frontier]


async def labelled(session: Session, traces: Sequence[Trace]) -> list[int | None]:
    """The number of each trace's answer class; None for a trace that states no answer."""
    classes = await session.classes(traces)
    labels = {t.id: number for number, c in enumerate(classes) for t in c.traces}
    return [labels.get(t.id) for t in traces]


def check_order(order: str) -> None:
    """Raises ``ValueError`` for an unknown order."""
    if order not in ("launch", "completion"):
        raise ValueError(f"order must be 'launch' or 'completion', not {order!r}")
