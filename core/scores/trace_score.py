"""One number for a trace, from a source that a word names."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from widthwise.core.arrays import FloatArray
from widthwise.core.backend import TokenStats
from widthwise.core.errors import UsageError
from widthwise.core.rewards.reward import REDUCTIONS
from widthwise.core.scores import confidence
from widthwise.core.scores.combination import combination
from widthwise.core.scores.confidence import token_confidence
from widthwise.core.scores.measured import MEASURES, TOP, ConfidenceScore, confidence_score
from widthwise.core.session.conditions import Conditions
from widthwise.core.trace.trace import Trace

if TYPE_CHECKING:
    from widthwise.core.session.session import Session

REWARD_MODEL = "reward_model"
SELF_CERTAINTY = "self_certainty"

LOGPROBS: Mapping[str, Callable[[FloatArray], float]] = {
    "mean_logprob": lambda logprobs: float(logprobs.mean()) if len(logprobs) else float("nan"),
    "sum_logprob": lambda logprobs: float(logprobs.sum(dtype=np.float64)) if len(logprobs) else float("nan"),
}
"""What the log-probabilities of a trace's sampled tokens, ``float32 [t]``, amount to; NaN for no tokens."""


def logprobs_for(source: str) -> int | None:
    """How many of the most likely tokens' log-probabilities traces must carry to have this score."""
    if (combined := combination(source)) is not None:
        return max((k for each in combined.sources if (k := logprobs_for(each)) is not None), default=None)
    if source == SELF_CERTAINTY:
        return TOP
    score = confidence_score(source)
    return None if score is None else score.logprobs


async def trace_scores(session: Session, traces: Sequence[Trace], source: str) -> list[float | None]:
    """A score per trace, higher is better; None where a trace has none (unscored is not zero).

    ``source``: "mean_logprob" of the sampled tokens, or "sum_logprob", the whole trace's log-likelihood;
    "reward_model", its score after the last step, or "reward_model:min" and so on for the other reductions;
    "self_certainty" and DeepConf's "mean_confidence", "tail_confidence", "lowest_group_confidence" and
    "bottom_confidence" (with arguments: "lowest_group_confidence(window=64)", see ``confidence_score``), of traces
    sampled with the log-probabilities of the most likely tokens; any other word is a number recorded with the trace,
    such as "reward".
    A minus before a recorded word ("-mean_ppl") turns its sign, for numbers that are better when lower. Several scores
    are combined by ``*`` and ``+``: "reward_model * mean_confidence", "0.7 * z(reward_model) + 0.3 * z(mean_logprob)"
    (see ``combination``); ``rank`` and ``z`` are among the given traces. Raises ``UsageError`` if no trace has the
    number, or for a reduction that is none.
    """
    if (combined := combination(source)) is not None:
        parts = {each: await trace_scores(session, traces, each) for each in combined.sources}
        found = combined.values({name: np.array(scores, np.float64) for name, scores in parts.items()})
        return [None if math.isnan(value) else float(value) for value in found]
    name, _, reduction = source.partition(":")
    if name == REWARD_MODEL:
        return await rewards(session, traces, reduction or "last")
    scores = [recorded_score(t, source) for t in traces]
    if traces and all(s is None for s in scores) and any(t.tokens for t in traces):
        raise UsageError(_unknown(session, traces, source))
    return scores


def recorded_score(trace: Trace, source: str) -> float | None:
    """The score of one trace that its tokens and its metadata tell alone; see ``trace_scores``."""
    if source in LOGPROBS:
        return LOGPROBS[source](trace.logprobs) if len(trace.logprobs) else None
    if source == SELF_CERTAINTY:
        return _self_certainty(trace)
    if (score := confidence_score(source)) is not None:
        return _confidence(trace, score)
    return _recorded(trace, source)


def unit_score(score: float | None, source: str) -> float | None:
    """A score as a number in [0, 1], for rules that need one: of a log-probability the probability is taken.

    None stays None. Raises ``UsageError`` for a score that lies elsewhere.
    """
    if score is None:
        return None
    value = math.exp(min(score, 0.0)) if source in LOGPROBS else score
    if not 0 <= value <= 1:
        raise UsageError(f"the score {source!r} has to lie between 0 and 1 here, and a trace has {score:g}")
    return value


def check_score(source: str, conditions: Conditions, what: object) -> None:
    """Raises ``UsageError`` if the traces of a run will not have the score ``source``, which ``what`` needs."""
    if (combined := combination(source)) is not None:
        for each in combined.sources:
            check_score(each, conditions, what)
        return
    name, _, reduction = source.partition(":")
    score = confidence_score(source)
    if name == REWARD_MODEL:
        conditions.reward_model(what)
        check_reduction(reduction or "last")
    elif source in LOGPROBS or (score is not None and not score.logprobs):
        conditions.logprobs(0, what)
    elif source != SELF_CERTAINTY and score is None:
        known = [*LOGPROBS, REWARD_MODEL, SELF_CERTAINTY, *MEASURES]
        conditions.number(source.removeprefix("-"), known, what)


def check_reduction(reduction: str) -> None:
    """Raises ``UsageError`` for an unknown reduction."""
    if reduction not in REDUCTIONS:
        raise UsageError(f"there is no reduction {reduction!r}; there are {', '.join(REDUCTIONS)}")


async def rewards(session: Session, traces: Sequence[Trace], reduction: str = "last") -> list[float | None]:
    """The reward model's scores reduced to one number per trace; None if it could not score one.

    Raises ``UsageError`` for a run without a reward model and for an unknown reduction.
    """
    for known in REDUCTIONS:
        if known == reduction:
            scores = await session.score(traces, whole=known == "model")
            return [s.reduced(known) for s in scores]
    raise UsageError(f"there is no reduction {reduction!r}; there are {', '.join(REDUCTIONS)}")


def _unknown(session: Session, traces: Sequence[Trace], source: str) -> str:
    """Why no trace has a score, and the way out."""
    if logprobs_for(source):
        return (
            f"{source!r} needs the log-probabilities of the most likely tokens, but the traces of problem "
            f"{session.problem.id} have none: sample them with logprobs=20"
        )
    known = sorted({key for t in traces for key, value in t.metadata.items() if isinstance(value, int | float)})
    shown = ", ".join([*LOGPROBS, REWARD_MODEL, SELF_CERTAINTY, *MEASURES, *known])
    return f"no trace of problem {session.problem.id} has a score {source!r}; known here: {shown}"


def _self_certainty(trace: Trace) -> float | None:
    """Mean divergence of the token distributions from the least certain one: ``KL(uniform || p)`` (arXiv 2502.18581).

    Over the k most likely tokens, ``-mean log(k p)``: exact if k is the whole vocabulary, always at least 0. With few
    it ranks traces as DeepConf's mean confidence does.
    """
    stats = _tops(trace)
    if stats is None or stats.top_logprobs is None:
        return None
    return confidence.mean(token_confidence(stats)) - float(np.log(stats.top_logprobs.shape[1]))


def _confidence(trace: Trace, score: ConfidenceScore) -> float | None:
    stats = _tops(trace) if score.logprobs else _drawn(trace)
    return None if stats is None else score(stats)


def _drawn(trace: Trace) -> TokenStats | None:
    known = trace.logprobs[np.isfinite(trace.logprobs)]
    return TokenStats(known) if len(known) else None


def _tops(trace: Trace) -> TokenStats | None:
    """The statistics of a trace's sampled tokens whose most likely alternatives were recorded, end to end."""
    known = [s.stats for s in trace.path if s.stats is not None and len(s)]
    tops = [s.top_logprobs for s in known if s.top_logprobs is not None and s.top_logprobs.shape[1]]
    if not tops or len(tops) < len(known) or len({t.shape[1] for t in tops}) > 1:
        return None
    joined, drawn = np.concatenate(tops), np.concatenate([s.logprobs for s in known])
    told = np.isfinite(joined).any(axis=1)  # a recording has no numbers for what a strategy inserted
    return TokenStats(drawn[told], top_logprobs=joined[told]) if told.any() else None


def _recorded(trace: Trace, source: str) -> float | None:
    value = trace.metadata.get(source.removeprefix("-"))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return -float(value) if source.startswith("-") else float(value)
