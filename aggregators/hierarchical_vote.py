"""A vote in two levels: within each chain of revisions, then across chains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from widthwise.aggregators.majority_vote import MajorityVote
from widthwise.aggregators.weighted_vote import WeightedVote
from widthwise.core.answer import Answer, TieBreak
from widthwise.core.registry import register
from widthwise.core.scores.trace_score import check_score, logprobs_for, trace_scores
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.session import Session
from widthwise.core.strategy.part import Part
from widthwise.core.trace.trace import Trace, TraceId


@register("aggregator")
@dataclass(frozen=True)
class HierarchicalVote(Part):
    """The best answer of each chain of revisions, and of these the best (Snell et al., arXiv 2408.03314, section 6).

    Within a chain, answers are voted on with the scores ``by`` as weights, and the highest-scored attempt of the
    winning class is kept; across chains, the kept attempts are voted on in the same way. ``by``, ``weight``,
    ``temperature`` and ``tie`` are those of ``weighted_vote``; with ``by=None`` each attempt has one vote, and the
    first of the winning class is kept (the paper finds that too noisy in short chains, and votes over all attempts).
    The paper's verifier sees a chain's earlier attempts; here it sees the attempt alone. Traces are of one chain if one
    was written with the other in view, so independent samples are chains of one, and the vote is the flat one.
    """

    by: str | None = "reward_model"
    weight: str = "identity"
    temperature: float = 1.0
    tie: TieBreak = "first"

    def __post_init__(self) -> None:
        self._vote  # noqa: B018  (checks its arguments)

    @property
    def logprobs(self) -> int | None:
        """How many of the most likely tokens the traces must record."""
        return None if self.by is None else logprobs_for(self.by)

    def check(self, conditions: Conditions) -> None:
        """Raises ``UsageError`` if the run's traces will not have the score."""
        if self.by is not None:
            check_score(self.by, conditions, self.brief())

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        scores = await self._scores(session, [t for t in traces if session.answer(t) is not None])
        answers = [await self._vote(session, chain) for chain in chains(session, list(scores))]
        return await self._vote(session, [max(_winners(a), key=lambda t: scores[t]) for a in answers if a.classes])

    @property
    def _vote(self) -> MajorityVote | WeightedVote:
        if self.by is None:
            return MajorityVote(self.tie)
        return WeightedVote(self.by, self.weight, self.temperature, tie=self.tie)

    async def _scores(self, session: Session, traces: Sequence[Trace]) -> dict[Trace, float]:
        if self.by is None:
            return dict.fromkeys(traces, 0.0)
        found = await trace_scores(session, traces, self.by)
        return {t: s for t, s in zip(traces, found, strict=True) if s is not None}


def _winners(answer: Answer) -> Sequence[Trace]:
    """The traces of the class that won."""
    return next(each.traces for each in answer.classes if answer.trace in each.traces)


def chains(session: Session, traces: Sequence[Trace]) -> list[list[Trace]]:
    """The traces by chain, in order of first appearance: one of a chain was written with another of it in view."""
    parts: list[set[TraceId]] = []
    for trace in traces:
        linked = {trace.id, *_in_view(session, trace)}
        touched = [part for part in parts if part & linked]
        parts = [part for part in parts if part not in touched] + [linked.union(*touched)]
    grouped: dict[int, list[Trace]] = {}
    for trace in traces:
        grouped.setdefault(next(i for i, part in enumerate(parts) if trace.id in part), []).append(trace)
    return list(grouped.values())


def _in_view(session: Session, trace: Trace) -> Iterator[TraceId]:
    """The traces that ``trace`` was written after, directly or through others."""
    waiting, known = [trace], set[TraceId]()
    while waiting:
        for segment in waiting.pop().path:
            for written in segment.metadata.get("after", ()):
                earlier = tuple(map(int, written.partition("@")[0].split(".")))
                if earlier not in known:
                    known.add(earlier)
                    yield earlier
                    waiting += [session.traces[earlier]] if earlier in session.traces else []
