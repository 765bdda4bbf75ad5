"""DeepPrune: finish only traces that are not expected to repeat an answer that others reach already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from widthwise.core.pruner import Decision
from widthwise.core.registry import check_role, register
from widthwise.core.roles import ROLES
from widthwise.core.session.session import Session
from widthwise.core.session.voices import model_of
from widthwise.core.strategy.part import Part
from widthwise.core.strategy.spelling import spelled
from widthwise.core.strategy.verification import note_silence
from widthwise.core.trace.trace import Trace, TraceId
from widthwise.pruning.judge import Judge
from widthwise.pruning.same_answer import SameAnswer

_STEP = 16
"""How many tokens lie between two checks for traces that have become long enough."""


@register("pruner")
@dataclass(frozen=True)
class DeepPrune(Part):
    """Clusters unfinished traces by the answer they are heading for, and finishes a few (arXiv 2510.08483, ACL 2026).

    Tu et al. Once a trace has ``at`` tokens (or has finished earlier), ``judge`` compares it with every cluster: with
    ``compared`` random members, on average. It joins the cluster that agrees best if the agreement is more than
    ``threshold``; otherwise it opens a cluster, of which there are at most ``clusters``. When all traces of the draw
    have joined, up to ``keep`` of the largest cluster are finished and all others stopped. If no two traces agree,
    ``fallback`` random ones are finished and vote.

    ``vote="largest"`` is the paper's rule: only the largest cluster votes. With "sizes" up to ``keep`` of every cluster
    are finished, and their votes count for the whole cluster. In a narrow draw, whose traces come one after another, a
    trace is stopped as soon as its cluster already has ``keep``. Two traces with the same text need no judge.
    """

    at: int = 500
    judge: Judge = SameAnswer()  # noqa: RUF009 - a frozen value
    threshold: float = 0.5
    keep: int = 20
    clusters: int = 32
    compared: int = 10
    fallback: int = 20
    vote: Literal["largest", "sizes"] = "largest"

    def __post_init__(self) -> None:
        if min(self.at, self.keep, self.clusters, self.compared, self.fallback) < 1:
            raise ValueError("at, keep, clusters, compared and fallback must be at least 1")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must be in [0, 1], not {self.threshold}")
        if self.vote not in ("largest", "sizes"):
            raise ValueError(f"vote must be 'largest' or 'sizes', not {self.vote!r}")
        check_role(self.judge, "judge")

    @property
    def every(self) -> int:
        return min(self.at, _STEP)

    def begin(self) -> _Clustering:
        """The pruner of one draw."""
        return _Clustering(self)

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        return await self.begin()(session, live, finished, total)


class _Clustering:
    """One draw's clusters; traces join in order of their ids, with the text they had when they were long enough."""

    def __init__(self, settings: DeepPrune) -> None:
        self.every = settings.every
        self._settings = settings
        self._judge: Judge = getattr(settings.judge, "begin", lambda: settings.judge)()
        self._clusters: list[list[Trace]] = []
        self._placed: dict[TraceId, int] = {}
        self._lost: set[TraceId] = set()
        self._kept: frozenset[TraceId] | None = None
        self._voters: frozenset[TraceId] = frozenset()
        self._random: np.random.Generator | None = None
        self._asked = self._said = 0

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        if self._random is None:
            first = min(t.head.id for t in (*live, *finished))
            self._random = np.random.default_rng(session.seed("deepprune", *first))
        for trace in sorted((*live, *finished), key=lambda t: t.id):
            if trace.head.id not in self._placed and trace.head.id not in self._lost:
                await self._arrive(session, trace)
        if len(self._placed) + len(self._lost) == total and self._kept is None:
            self._kept, self._voters = self._chosen()
            note_silence(session, self._said, self._asked)
        if self._kept is None:
            return Decision(
                stop=self._redundant(live, finished), reason="redundant: others are heading for this answer"
            )
        return Decision(
            stop=frozenset(t.id for t in live if t.head.id not in self._kept),
            reason=f"redundant: of {total} traces in {len(self._clusters)} clusters {len(self._kept)} go on",
            votes=self._votes(session, finished),
        )

    async def _arrive(self, session: Session, trace: Trace) -> None:
        """Put the trace into a cluster, if it is long enough."""
        if trace.finish not in (None, "stop", "length"):
            self._lost.add(trace.head.id)
        elif trace.finish is not None or trace.tokens >= self._settings.at:
            number = await self._cluster_of(session, trace)
            if number == len(self._clusters):
                self._clusters.append([])
            self._clusters[number].append(trace)
            self._placed[trace.head.id] = number

    async def _cluster_of(self, session: Session, trace: Trace) -> int:
        """The number of the best cluster for ``trace``; a new one's if none fits."""
        for number, cluster in enumerate(self._clusters):
            if any(other.completion == trace.completion for other in cluster):
                return number
        likeness = await self._likeness(session, trace)
        best = max(range(len(likeness)), key=likeness.__getitem__, default=0)
        if likeness and (likeness[best] > self._settings.threshold or len(likeness) == self._settings.clusters):
            return best
        return len(self._clusters)

    async def _likeness(self, session: Session, trace: Trace) -> list[float]:
        """The mean probability of agreeing with a cluster's members, for each cluster; unknown ones do not count."""
        members = [self._some(cluster) for cluster in self._clusters]
        others = [other for some in members for other in some]
        opinions = await self._judge(session.by(model_of(self._settings.judge)), trace, others)
        if not isinstance(opinions, list | tuple) or len(opinions) != len(others):
            raise ROLES["judge"].mismatch(spelled(self._settings.judge), opinions)
        said = iter(opinions)
        known = [[p for _ in some if (p := next(said)) is not None] for some in members]
        self._asked += sum(map(len, members))
        self._said += sum(map(len, known))
        return [sum(ps) / len(ps) if ps else 0.0 for ps in known]

    def _some(self, cluster: Sequence[Trace]) -> list[Trace]:
        if len(cluster) <= self._settings.compared:
            return list(cluster)
        return [cluster[i] for i in sorted(self._drawn(len(cluster), self._settings.compared))]

    def _drawn(self, among: int, count: int) -> list[int]:
        assert self._random is not None
        return [int(i) for i in self._random.choice(among, min(count, among), replace=False)]

    def _redundant(self, live: Sequence[Trace], finished: Sequence[Trace]) -> frozenset[TraceId]:
        """The live traces whose cluster has enough earlier traces that have not been lost since."""
        there = {t.head.id for t in (*live, *finished) if t.finish in (None, "stop", "length")}
        members = [[t.head.id for t in cluster if t.head.id in there] for cluster in self._clusters]
        redundant = {i for ids in members for i in ids[self._settings.keep :]}
        return frozenset(t.id for t in live if t.head.id in redundant)

    def _chosen(self) -> tuple[frozenset[TraceId], frozenset[TraceId]]:
        """Which traces may finish, and which may vote, once all traces are long enough."""
        everyone = sorted(self._placed)
        largest = max(self._clusters, key=len, default=[])
        if len(largest) == 1:
            some = frozenset(everyone[i] for i in self._drawn(len(everyone), self._settings.fallback))
            return some, some
        chosen = self._clusters if self._settings.vote == "sizes" else [largest]
        finishing = frozenset(t.head.id for cluster in chosen for t in cluster[: self._settings.keep])
        return finishing, frozenset(t.head.id for cluster in chosen for t in cluster)

    def _votes(self, session: Session, finished: Sequence[Trace]) -> dict[TraceId, float]:
        """Zero for traces that may not vote; with ``vote="sizes"`` each cluster's votes add up to its size."""
        votes = {t.id: float(t.head.id in self._voters) for t in finished}
        if self._settings.vote == "sizes":
            spoken = [t for t in finished if votes[t.id] and session.answer(t) is not None]
            speakers = Counter(self._placed[t.head.id] for t in spoken)
            for trace in spoken:
                number = self._placed[trace.head.id]
                votes[trace.id] = len(self._clusters[number]) / speakers[number]
        return votes
