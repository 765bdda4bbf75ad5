"""DeepConf online: stop traces that the model is unsure of while they grow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from widthwise.core.answer import elect
from widthwise.core.confidence import SlidingConfidence, token_confidence
from widthwise.core.part import Part
from widthwise.core.pruner import GO_ON, Verdict
from widthwise.core.session import Session
from widthwise.core.trace import Trace, TraceId


@dataclass(frozen=True)
class DeepConf(Part):
    """Stops a trace once its confidence falls below what the best of the first traces held (arXiv 2508.15260).

    Fu et al., "Deep Think with Confidence". The first ``warmup`` traces of a draw come to their end before the others
    begin. Each has the confidence of its least sure ``window`` tokens; the threshold is the percentile 100 - ``eta``
    of these: ``eta`` 10 is strict (DeepConf-low), 90 lax (DeepConf-high, the safe choice). A later trace is stopped as
    soon as a full window falls below the threshold; warm-up traces below it do not vote. Votes weigh as much as
    their traces' least sure windows, so that ``majority_vote()`` behind it is the paper's weighted vote, and the draw
    ends when one answer has at least the share ``consensus`` of the weight (None: never).

    The window of 2048 tokens is for long reasoning: traces that are shorter can never be stopped. Confidence is the
    mean over the ``logprobs`` most likely tokens, raw; the draw asks for them. ``every`` is how many tokens lie between
    two looks; the votes do not depend on it.
    """

    warmup: int = 16
    eta: float = 10.0
    window: int = 2048
    consensus: float | None = 0.95
    logprobs: int = 20
    every: int = 16

    def __post_init__(self) -> None:
        if min(self.warmup, self.window, self.logprobs, self.every) < 1:
            raise ValueError("warmup, window, logprobs and every must be at least 1")
        if not 0 < self.eta < 100:
            raise ValueError(f"eta must be between 0 and 100, not {self.eta}")
        if self.consensus is not None and not 0 < self.consensus <= 1:
            raise ValueError(f"consensus must be in (0, 1], not {self.consensus}")

    def begin(self) -> _Online:
        """The pruner of one draw."""
        return _Online(self)

    async def __call__(self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int) -> Verdict:
        return await self.begin()(session, live, finished, total)


class _Online:
    """One draw's confidences so far, and the threshold once it is known."""

    def __init__(self, settings: DeepConf) -> None:
        self.every = settings.every
        self._settings = settings
        self._seen: dict[TraceId, SlidingConfidence] = {}
        self._threshold: float | None = None

    async def __call__(self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int) -> Verdict:
        for trace in (*live, *finished):
            self._look(trace)
        if self._threshold is None:
            self._threshold = self._percentile(live, finished)
            if self._threshold is None:
                return GO_ON
        votes = {t.id: self._vote(t) for t in finished}
        verdict = Verdict(
            stop=frozenset(t.id for t in live if self._seen[t.id].lowest < self._threshold),
            reason=f"confidence below {self._threshold:.3f}",
            votes=votes,
        )
        share = await self._agreement(session, finished, votes)
        if self._settings.consensus is None or share < self._settings.consensus:
            return verdict
        return replace(verdict, decided=True, reason=f"decided: one answer has {share:.1%} of the confidence")

    def _look(self, trace: Trace) -> None:
        """Take the tokens that are new since the last look."""
        sliding = self._seen.setdefault(trace.id, SlidingConfidence(self._settings.window))
        segment = trace.segment
        if len(segment) > sliding.tokens:
            stats = None if segment.stats is None else segment.stats.part(slice(sliding.tokens, None))
            sliding.take(token_confidence(stats))

    def _percentile(self, live: Sequence[Trace], finished: Sequence[Trace]) -> float | None:
        """The threshold; None while a warm-up trace grows, or where none came to its end."""
        first = sorted(self._seen)[: self._settings.warmup]
        done = {t.id for t in finished if t.finish in ("stop", "length")}
        scores = [self._seen[i].score for i in first if i in done and self._seen[i].tokens]
        if not scores or not {t.id for t in live}.isdisjoint(first):
            return None
        return float(np.percentile(scores, 100 - self._settings.eta))

    def _vote(self, trace: Trace) -> float:
        """The weight of a finished trace's vote: none for one that should have been stopped."""
        sliding = self._seen[trace.id]
        warming_up = trace.id in sorted(self._seen)[: self._settings.warmup]
        measured = sliding.score if warming_up else sliding.lowest
        return sliding.score if sliding.tokens and self._threshold is not None and measured >= self._threshold else 0.0

    async def _agreement(self, session: Session, finished: Sequence[Trace], votes: dict[TraceId, float]) -> float:
        """The leading answer's share of all the weight."""
        classes = [replace(c, weight=sum(votes[t.id] for t in c.traces)) for c in await session.classes(finished)]
        weight = sum(c.weight for c in classes)
        return elect(classes).classes[0].weight / weight if weight else 0.0
