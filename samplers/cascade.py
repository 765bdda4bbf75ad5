"""Models in order of price: the next one is asked if the answer is not to be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from widthwise.core.answer import Answer
from widthwise.core.errors import BudgetReached
from widthwise.core.registry import register
from widthwise.core.scores.trust import AGREEMENT, SAMPLES, check_trust, trust
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.session import Session
from widthwise.core.session.voices import model_of
from widthwise.core.strategy.sampler_part import SamplerPart
from widthwise.core.strategy.worker import as_worker
from widthwise.samplers.best_of_n import BestOfN
from widthwise.samplers.single import Single


def check_models(models: Sequence[str], thresholds: Sequence[float], model: str | None, by: str) -> None:
    """Raises ``ValueError`` for models in order of price that do not go with their thresholds, and for a single one.

    Thresholds of agreement are shares.
    """
    if model is not None:
        raise ValueError(f"its models are named by models=(...), not by model={model!r}")
    if len(models) < 2 or len(set(models)) < len(models):
        raise ValueError(f"models are two or more different names, cheapest first, not {models!r}")
    if len(thresholds) != len(models) - 1:
        raise ValueError(f"{len(models)} models need {len(models) - 1} thresholds (none for the last): {thresholds!r}")
    if by == AGREEMENT and not all(0 <= each <= 1 for each in thresholds):
        raise ValueError(f"thresholds of agreement are shares of the traces, from 0 to 1, not {thresholds!r}")


@register("sampler")
@dataclass(frozen=True)
class Cascade(SamplerPart):
    """The answer of the first of ``models`` that can be trusted (FrugalGPT: Chen et al., arXiv 2305.05176).

    Each of the models, cheapest first, answers with ``worker`` (a sampler or a strategy). If the answer's score ``by``
    is at least the model's threshold, it stands; the last model's does if it states any. ``by`` is "agreement", the
    share of the worker's traces that state the answer, or a score of the trace that stands for it, such as
    "reward_model" or "mean_logprob". Without a ``worker``, that is the vote of 4 samples for agreement, and else a
    single sample. Samples that a budget did not allow disagree, with a note. An answer without a score is not trusted.
    ``widthwise fit`` learns order and thresholds from stored runs.

    Differences from the paper: it scores a single answer, with a DistilBERT that was trained on each dataset to tell
    right answers; here any score serves, and a reward model is its counterpart.
    """

    models: tuple[str, ...] = ()
    _: KW_ONLY
    thresholds: tuple[float, ...] = ()
    by: str = AGREEMENT
    worker: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_models(self.models, self.thresholds, self.model, self.by)
        if self.worker is not None and model_of(as_worker(self.worker).sampler) is not None:
            raise ValueError("the worker names a model, but each of the models is to do its work")
        if self.by == AGREEMENT and drawn(self._worker) == 1:
            raise ValueError(
                "a single sample agrees with itself, so that no other model would ever be asked: give a worker that "
                "draws several (worker=best_of_n(n=4)), or a score of one answer (by='mean_logprob')"
            )

    @property
    def _worker(self) -> Any:
        return BestOfN(SAMPLES) if self.worker is None and self.by == AGREEMENT else self.worker

    def check(self, conditions: Conditions) -> None:
        """Raises ``UsageError`` for a model that the run does not have, and for a score that answers will not have."""
        for model in self.models:
            conditions.models(model)
        check_trust(self.by, conditions, self.brief())

    async def __call__(self, session: Session) -> Answer:
        kept: Answer | None = None
        for model, threshold in zip(self.models, (*self.thresholds, None), strict=True):
            try:
                view, answer = await answered(session.by(model), self._worker)
            except BudgetReached:
                if kept is None:
                    raise
                session.note(session.root, f"the budget ended before {model} could be asked")
                break
            asked = 0 if view.pruners else drawn(self._worker) or 0  # pruners stop a draw for reasons of their own
            trusted = None if threshold is None else await trust(view, answer, view.leaves, self.by, asked)
            kept = answer if kept is None or answer.text is not None else kept
            if threshold is None or (trusted is not None and trusted >= threshold):
                break
        assert kept is not None
        return kept


async def answered(session: Session, worker: Any) -> tuple[Session, Answer]:
    """What ``worker`` (None: a single sample) answers with the model of ``session``, and the view in which it worked.

    Raises ``BudgetReached`` if nothing was written before the budget was used up.
    """
    strategy = as_worker(Single() if worker is None else worker)
    view = session.at(session.root, pruners=strategy.pruners)
    answer = await strategy.answer(view)
    if not view.leaves:
        raise BudgetReached("the budget is used up")
    return view, answer


def drawn(worker: Any) -> int | None:
    """How many traces a worker draws (None: a single sample, as a worker); None where that is not known before."""
    sampler = Single() if worker is None else as_worker(worker).sampler
    return 1 if isinstance(sampler, Single) else sampler.n if isinstance(sampler, BestOfN) else None
