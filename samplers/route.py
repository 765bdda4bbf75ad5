"""A few probes decide which model gets the problem."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any

from widthwise.core.answer import Answer, elect
from widthwise.core.registry import register
from widthwise.core.scores.trace_score import trace_scores
from widthwise.core.scores.trust import AGREEMENT, SAMPLES, agreement, check_trust, note_few
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.session import Session
from widthwise.core.session.voices import model_of
from widthwise.core.strategy.sampler_part import SamplerPart
from widthwise.core.strategy.worker import as_worker
from widthwise.core.trace.trace import Trace
from widthwise.samplers.cascade import answered, check_models


@register("sampler")
@dataclass(frozen=True)
class Route(SamplerPart):
    """Sends a problem to one of ``models``, by how easy ``probes`` samples of the first one find it.

    Routing by predicted difficulty (Damani et al., arXiv 2410.04707, section 3.2: a weak and a strong way to answer).
    The first model draws ``probes``; how easy the problem is, is the share of them that states the commonest answer
    (``by="agreement"``), or the mean of a score such as "reward_model" over those that have one, with a note if some
    have none; if none has, the problem is taken to be hard. The first of the models, cheapest first, whose
    threshold that reaches answers with ``worker`` (None: a single sample), else the last. Probes are charged, and are
    not part of the answer; those that a budget did not allow disagree, with a note. ``widthwise fit --route`` learns
    the thresholds from stored runs.

    Difference from the paper: it predicts from the model's hidden states, which servers do not give.
    """

    models: tuple[str, ...] = ()
    _: KW_ONLY
    thresholds: tuple[float, ...] = ()
    probes: int = SAMPLES
    by: str = AGREEMENT
    worker: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_models(self.models, self.thresholds, self.model, self.by)
        if self.probes < 1:
            raise ValueError(f"probes must be at least 1, not {self.probes}")
        if self.by == AGREEMENT and self.probes == 1:
            raise ValueError("a single probe agrees with itself: draw several (probes=4), or name a score (by=...)")
        if self.worker is not None and model_of(as_worker(self.worker).sampler) is not None:
            raise ValueError("the worker names a model, but the problem is to decide which one works")

    def check(self, conditions: Conditions) -> None:
        """Raises ``UsageError`` for a model that the run does not have, and for a score that probes will not have."""
        for model in self.models:
            conditions.models(model)
        check_trust(self.by, conditions, self.brief())

    async def __call__(self, session: Session) -> Answer:
        prober = session.by(self.models[0])
        easy = await self._easy(prober, await prober.sample(prober.root, self.probes))
        known = -math.inf if easy is None else easy
        reached = (m for m, least in zip(self.models[:-1], self.thresholds, strict=True) if known >= least)
        model = next(reached, self.models[-1])
        session.note(session.root, f"the probes of {self.models[0]} {self._said(easy)}: {model} answers")
        _, answer = await answered(session.by(model), self.worker)
        return answer

    def _said(self, easy: float | None) -> str:
        """What the probes say, in words."""
        if easy is None:
            return f"have no {self.by}"
        return f"agree to {easy:.2f}" if self.by == AGREEMENT else f"have a mean {self.by} of {easy:.2f}"

    async def _easy(self, session: Session, probes: list[Trace]) -> float | None:
        """How easy the problem is according to its probes; None if none has the score."""
        if self.by == AGREEMENT:
            asked = 0 if session.pruners else self.probes  # pruners stop a draw for reasons of their own
            note_few(session, probes, asked)
            return agreement(elect(await session.classes(probes)), probes, asked)
        known = [score for score in await trace_scores(session, probes, self.by) if score is not None]
        if 0 < len(known) < len(probes):
            session.note(session.root, f"{len(probes) - len(known)} of {len(probes)} probes have no {self.by}")
        return sum(known) / len(known) if known else None
