"""A gate between a vote and a verifier: only where the vote is not clear is the verifier asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from widthwise.aggregators.generative_verification import GenerativeVerification
from widthwise.aggregators.majority_vote import MajorityVote
from widthwise.core.answer import Answer
from widthwise.core.errors import BudgetReached
from widthwise.core.posterior import beta
from widthwise.core.registry import check_role, register
from widthwise.core.session.session import Session
from widthwise.core.session.voices import model_of
from widthwise.core.strategy.part import Part
from widthwise.core.strategy.spelling import spelled
from widthwise.core.trace.trace import Trace


@register("aggregator")
@dataclass(frozen=True)
class ConfidenceGate(Part):
    """The answer of ``vote`` where it is clear, else that of the aggregator ``otherwise``, which may be expensive.

    The consistency of samples as the gate of a cascade: Yue et al., arXiv 2310.03094. The vote is clear if its winner
    has at least the share ``agreement`` of the votes; or, if ``probability`` is given instead, if its winner is with
    this probability the model's most common answer, judging from the numbers of traces that state it and the most
    frequent other answer (the posterior of Adaptive-Consistency under a uniform prior: Aggarwal et al., arXiv
    2305.11860). With both, both must hold. Traces without an answer have no vote, and a single answer is always clear.

    ``otherwise`` chooses among all traces, as it would without the gate, and may name a model of its own. What it costs
    is in the ledger as always (a clear vote costs nothing more); a note says for each problem which of the two decided.
    """

    otherwise: Any = GenerativeVerification()  # noqa: RUF009 - a frozen value
    agreement: float | None = None
    probability: float | None = None
    vote: Any = MajorityVote()  # noqa: RUF009 - a frozen value

    def __post_init__(self) -> None:
        for part in (self.vote, self.otherwise):
            check_role(part, "aggregator")
        if self.agreement is None and self.probability is None:
            raise ValueError("say when the vote is clear: agreement=0.6 (a share of the votes) or probability=0.95")
        for name in ("agreement", "probability"):
            if (least := getattr(self, name)) is not None and not 0 < least <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, not {least}")

    @property
    def logprobs(self) -> int | None:
        """How many of the most likely tokens the traces must record."""
        needed = [getattr(part, "logprobs", None) for part in (self.vote, self.otherwise)]
        return max((k for k in needed if k is not None), default=None)

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        voted: Answer = await self.vote(session.by(model_of(self.vote)), traces)
        if len(voted.classes) < 2:
            return voted
        agreement, probability = _agreement(voted), _probability(voted)
        clear = agreement >= (self.agreement or 0) - 1e-9 and probability >= (self.probability or 0) - 1e-9
        how = "clear" if clear else "not clear"
        said = f"the vote was {how} (agreement {agreement:.2f}, probability {probability:.2f})"
        asked = "was not asked" if clear else "was asked"
        session.note(session.root, f"{said}: {spelled(self.otherwise, brief=True)} {asked}")
        if clear:
            return voted
        try:
            answer: Answer = await self.otherwise(session.by(model_of(self.otherwise)), traces)
        except BudgetReached:
            return voted
        return answer


def _agreement(voted: Answer) -> float:
    """The winner's share of the votes; 0 if nobody has a vote that counts."""
    total = sum(each.weight for each in voted.classes)
    return sum(each.weight for each in voted.classes if voted.trace in each.traces) / total if total else 0.0


def _probability(voted: Answer) -> float:
    """How probable it is that the winner is stated more often than any other answer."""
    own = sum(len(each.traces) for each in voted.classes if voted.trace in each.traces)
    return beta(own, max(len(each.traces) for each in voted.classes if voted.trace not in each.traces))
