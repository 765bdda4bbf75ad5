"""Another model is asked where the samples are not to be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from widthwise.core.answer import Answer, TieBreak, elect
from widthwise.core.arguments import one_of
from widthwise.core.errors import BudgetReached
from widthwise.core.registry import register
from widthwise.core.scores.trust import AGREEMENT, check_trust, trust
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.session import Session
from widthwise.core.strategy.model_part import ModelPart
from widthwise.core.strategy.worker import as_worker
from widthwise.core.trace.trace import Trace

EscalateWhen = Literal["disagree", "unsure"]


@register("aggregator")
@dataclass(frozen=True)
class Escalate(ModelPart):
    """The plain vote if it can be trusted; else ``model`` answers anew (Yue et al., arXiv 2310.03094).

    ``when="disagree"``: if less than the share ``threshold`` of all traces states the winner (None: 1, all of them).
    This is the paper's vote-based decision, whose threshold is fitted. ``when="unsure"``: if the score ``by`` of the
    winner's trace is below ``threshold``. Then ``model`` samples ``n`` traces, or ``worker`` (a sampler or a strategy)
    works with it, and the vote of the new traces is the answer; with ``keep``, all traces vote. If the budget ends
    before, or no new trace states an answer, the first vote stands, with a note. A single trace disagrees with nobody,
    and is escalated, too.
    """

    n: int = 1
    when: EscalateWhen = "disagree"
    threshold: float | None = None
    by: str = "mean_logprob"
    worker: Any = None
    keep: bool = False
    tie: TieBreak = "first"

    def __post_init__(self) -> None:
        one_of(self.when, get_args(EscalateWhen), "when")
        if self.model is None:
            raise ValueError("it needs the name of the model that is asked then: model='NAME'")
        if self.n < 1:
            raise ValueError(f"n must be at least 1, not {self.n}")
        if self.when == "unsure" and self.threshold is None:
            raise ValueError("when='unsure' needs a threshold for the score")
        if self.when == "disagree" and self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold is a share of the traces, from 0 to 1, not {self.threshold}")
        if self.worker is not None:
            as_worker(self.worker)

    @property
    def _read(self) -> str:
        return AGREEMENT if self.when == "disagree" else self.by

    def check(self, conditions: Conditions) -> None:
        """Raises ``UsageError`` if traces cannot have the score that decides."""
        check_trust(self._read, conditions, self.brief())

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        first = elect(await session.classes(traces), self.tie, session.seed("tie"))
        trusted = await trust(session, first, traces, self._read)
        if trusted is not None and trusted >= (1.0 if self.threshold is None else self.threshold):
            return first
        try:
            second = await self._anew(session)
        except BudgetReached:
            session.note(session.root, f"the budget ended before {self.model} could be asked: the first vote stands")
            return first
        if second.text is None:
            session.note(session.root, f"{self.model} states no answer: the first vote stands")
            return first
        new = [trace for each in second.classes for trace in each.traces]
        return elect(await session.classes([*traces, *new]), self.tie, session.seed("tie")) if self.keep else second

    async def _anew(self, session: Session) -> Answer:
        if self.worker is None:
            drawn = await session.sample(session.root, self.n)
            return elect(await session.classes(drawn), self.tie, session.seed("tie"))
        worker = as_worker(self.worker)
        return await worker.answer(session.at(session.root, pruners=worker.pruners))
