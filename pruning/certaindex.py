"""Certaindex: how far unfinished traces agree in their answers decides which of them go on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from widthwise.core.pruner import Decision
from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.part import Part
from widthwise.core.trace.trace import Trace, TraceId
from widthwise.pruning.early_exit import settled
from widthwise.pruning.probes import Probes
from widthwise.pruning.stopping_rule import labelled


@register("pruner")
@dataclass(frozen=True)
class Certaindex(Part):
    """Stops a draw, and single traces in it, once probes say that more tokens would not change the answer.

    Fu et al., "Efficiently Scaling LLM Reasoning with Certaindex" (Dynasor, arXiv 2412.20993). Each trace is probed
    every ``every`` tokens for what it would answer now, as by ``early_exit``; ``stable`` equal answers in a row make a
    trace certain, and it states its answer at once (None: never). The draw's certaindex is ``certaindex`` of the
    answers that are known so far: those of finished traces, and the last probes of the others. With at least ``least``
    traces and a certaindex of at least ``threshold``, traces that still grow state their answers at once; when a
    finished trace has the answer that leads, the draw ends, and traces that were waiting (``width``) do not begin: this
    is where tokens are saved. The paper chooses its thresholds for each model and task; 0.9 is this toolkit's. Probes
    are greedy, as in ``early_exit``, whereas the release draws them at temperature 0.6 and top_p 0.95.

    ``hopeless`` is an addition (None: off, as in the paper): a trace whose last so many probes hold no two equal
    answers is pruned, unless no other trace would be left. Probes are charged as judging.
    """

    threshold: float = 0.9
    every: int = 64
    stable: int | None = 3
    hopeless: int | None = None
    least: int = 4
    max_tokens: int = 20

    continues: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold must be in (0, 1], not {self.threshold}")
        if min(self.every, self.stable or 1, self.max_tokens) < 1:
            raise ValueError("every, stable and max_tokens must be at least 1")
        if min(self.hopeless or 2, self.least) < 2:
            raise ValueError("hopeless and least must be at least 2: one answer alone agrees with none")

    def begin(self) -> _Certainty:
        """The pruner of one draw."""
        return _Certainty(self)

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        return await self.begin()(session, live, finished, total)


class _Certainty:
    """One draw's traces, their probes, and which of them have been asked for their answers."""

    def __init__(self, settings: Certaindex) -> None:
        self.every = settings.every
        self._settings = settings
        self._probes = Probes(settings.every, settings.max_tokens)
        self._asked: set[TraceId] = set()

    async def __call__(
        self, session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int
    ) -> Decision:
        thinking = [trace for trace in live if trace.head.id not in self._asked]
        due = await self._probes.ask(session, thinking)
        voters = [trace for trace in finished if trace.finish in ("stop", "length")]
        if (said := await self._certain_draw(session, thinking, voters)) and said.decided:
            return said
        ends = said.conclude if said else [t.id for t in due if await self._is_certain(session, t)]
        self._asked |= {trace.head.id for trace in thinking if trace.id in ends}
        lost = [trace for trace in due if trace.id not in ends and await self._is_hopeless(session, trace)]
        if len(lost) == len(live) and not voters:
            lost = sorted(lost, key=lambda trace: trace.id)[1:]
        reason = f"hopeless: its last {self._settings.hopeless} probes hold no two equal answers"
        return Decision(stop=frozenset(trace.id for trace in lost), conclude=frozenset(ends), reason=reason)

    async def _certain_draw(
        self, session: Session, thinking: Sequence[Trace], voters: Sequence[Trace]
    ) -> Decision | None:
        """What ends the draw if its answers are certain: at once if a finished trace has the one that leads."""
        told = {trace.id: trace for trace in voters}
        told |= {trace.id: probes[-1] for trace in thinking if (probes := self._probes.of(trace))}
        labels = dict(zip(sorted(told), await labelled(session, [told[i] for i in sorted(told)]), strict=True))
        index = certaindex(list(labels.values()))
        if len(labels) < self._settings.least or index < self._settings.threshold:
            return None
        [(leader, _)] = Counter(label for label in labels.values() if label is not None).most_common(1)
        if any(labels[trace.id] == leader for trace in voters):
            return Decision(decided=True, reason=f"certain: certaindex {index:.2f} over {len(labels)} traces")
        probed = [t.id for t in thinking if t.id in told and session.thinking_tokens(t) is None]
        return Decision(conclude=frozenset(probed))

    async def _is_certain(self, session: Session, trace: Trace) -> bool:
        stable = self._settings.stable
        return stable is not None and await settled(session, self._probes.of(trace), stable)

    async def _is_hopeless(self, session: Session, trace: Trace) -> bool:
        count = self._settings.hopeless
        if count is None or len(probes := self._probes.of(trace)) < count:
            return False
        stated = [label for label in await labelled(session, probes[-count:]) if label is not None]
        return len(set(stated)) == len(stated)


def certaindex(labels: Sequence[int | None]) -> float:
    """How far ``n`` answers agree: (log n - H) / log n, from 0 (all different) to 1 (all equal); 0 for fewer than two.

    ``labels`` are answer classes, H the entropy of their shares. A trace without an answer (None) agrees with none.
    """
    n = len(labels)
    if n < 2:
        return 0.0
    sizes = [*Counter(label for label in labels if label is not None).values(), *(1 for each in labels if each is None)]
    entropy = sum(size / n * math.log(n / size) for size in sizes)
    return 1 - entropy / math.log(n)
