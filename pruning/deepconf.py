"""DeepConf online: stop traces that the model is unsure of while they grow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from widthwise.core.pruner import GO_ON, Decision
from widthwise.core.registry import register
from widthwise.core.scores.confidence import ConfidenceBasis, SlidingConfidence, token_confidence
from widthwise.core.session.session import Session
from widthwise.core.strategy.part import Part
from widthwise.core.trace.trace import Trace, TraceId


@register("pruner")
@dataclass(frozen=True)
class DeepConf(Part):
    """Stops a trace once its confidence falls below that of the best of the first traces (arXiv 2508.15260).

    Fu et al., "Deep Think with Confidence". The first ``warmup`` traces of a draw end before the others begin. The
    confidence of each is that of its least sure ``window`` tokens; the threshold is the percentile 100 - ``eta`` of
    these: ``eta`` 10 is strict (DeepConf-low), 90 lax (DeepConf-high, the safe choice). A later trace is stopped as
    soon as a full window falls below the threshold, and a trace whose confidence is below it does not vote. Votes are
    weighted by the confidence of their traces' least sure windows, so ``majority_vote()`` after it is the paper's
    weighted vote. After the warm-up, each time a trace has ended, the draw ends if one answer has at least the share
    ``consensus`` of the weight, including that of the warm-up's voters; None never ends it, as in the authors' release.

    The window of 2048 tokens is for long reasoning: shorter traces can never be stopped, and their confidence is the
    mean of all their tokens. Differences from the release: confidences are not rounded to three decimals, and one
    definition (``confidence``, over the ``k`` most likely tokens, raw) is used for stopping and voting, whereas the
    release stops by "top" and votes by "top_and_sampled" (see ``ConfidenceBasis``). "sampled" uses only the drawn
    token's probability, and needs no others. It suits models whose errors are slips: unlikely tokens although the
    distribution itself is as peaked as ever. ``every`` is how many tokens lie between two checks (the release: 1); the
    votes do not depend on it.
    """

    warmup: int = 16
    eta: float = 10.0
    window: int = 2048
    consensus: float | None = 0.95
    k: int = 20
    confidence: ConfidenceBasis = "top"
    every: int = 16

    def __post_init__(self) -> None:
        if min(self.warmup, self.window, self.k, self.every) < 1:
            raise ValueError("warmup, window, k and every must be at least 1")
        if not 0 < self.eta < 100:
            raise ValueError(f"eta must be between 0 and 100, not {self.eta}")
        if self.consensus is not None and not 0 < self.consensus <= 1:
            raise ValueError(f"consensus must be in (0, 1], not {self.consensus}")
        if self.confidence not in get_args(ConfidenceBasis):
            known = ", ".join(get_args(ConfidenceBasis))
            raise ValueError(f"confidence must be one of {known}, not {self.confidence!r}")

    @property
    def logprobs(self) -> int | None:
        """How many of the most likely tokens the traces must record."""
        return None if self.confidence == "sampled" else self.k

    def begin(self) -> _Online:
        """The pruner of one draw."""
        return _Online(self)

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        return await self.begin()(session, live, finished, total)


class _Online:
    """One draw's confidences so far, and the threshold once it is known."""

    def __init__(self, settings: DeepConf) -> None:
        self.every = settings.every
        self._settings = settings
        self._seen: dict[TraceId, SlidingConfidence] = {}
        self._warmup: frozenset[TraceId] = frozenset()
        self._threshold: float | None = None
        self._looked = 0

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        for trace in (*live, *finished):
            self._look(trace)
        if self._threshold is None and not self._warmed_up(live, finished, total):
            return GO_ON
        votes = {t.id: self._vote(t.head.id) for t in finished}
        if (share := await self._consensus(session, finished, votes)) is not None:
            return Decision(decided=True, reason=f"decided: one answer has {share:.1%} of the confidence", votes=votes)
        below = frozenset(t.id for t in live if self._seen[t.head.id].lowest < (self._threshold or 0.0))
        return Decision(stop=below, reason=f"confidence below {self._threshold:.3f}", votes=votes)

    async def _consensus(
        self, session: Session, finished: Sequence[Trace], votes: Mapping[TraceId, float]
    ) -> float | None:
        """The leading answer's share of all the weight, if it suffices and a trace has ended since the last check."""
        consensus = self._settings.consensus
        ended = sum(t.finish in ("stop", "length") and t.head.id not in self._warmup for t in finished)
        if consensus is None or ended == self._looked:
            return None
        self._looked = ended
        weights = [sum(votes[t.id] for t in c.traces) for c in await session.classes(finished)]
        share = max(weights) / sum(weights) if sum(weights) else 0.0
        return share if share >= consensus else None

    def _look(self, trace: Trace) -> None:
        """Take the tokens that are new since the last check."""
        sliding = self._seen.setdefault(trace.head.id, SlidingConfidence(self._settings.window))
        before = 0
        for piece in (piece for piece in trace.pieces if piece.origin == "sampled"):
            begin, before = sliding.tokens - before, before + len(piece)
            if before > sliding.tokens:
                new = None if piece.stats is None else piece.stats.part(slice(begin, None))
                sliding.take(token_confidence(new, self._settings.k, self._settings.confidence))

    def _warmed_up(self, live: Sequence[Trace], finished: Sequence[Trace], total: int) -> bool:
        """Whether the warm-up is over; the threshold follows from it."""
        count = min(self._settings.warmup, total)
        first = frozenset(sorted(self._seen)[:count])
        ended = [t.head.id for t in finished if t.finish in ("stop", "length") and t.tokens]
        whole = [i for i in ended if i in first]
        if len(first) < count or not whole or any(t.head.id in first for t in live):
            return False
        self._warmup = first
        self._threshold = float(np.percentile([self._seen[i].score for i in whole], 100 - self._settings.eta))
        return True

    def _vote(self, trace: TraceId) -> float:
        """The weight of a finished trace's vote: none for one whose confidence is below the threshold."""
        score = self._seen[trace].score
        return score if score >= (self._threshold or 0.0) else 0.0
