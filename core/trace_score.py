"""One number for a trace, from a source named by a word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from widthwise.core.errors import UsageError
from widthwise.core.reward import REDUCTIONS
from widthwise.core.trace import Trace

if TYPE_CHECKING:
    from widthwise.core.session import Session

MEAN_LOGPROB = "mean_logprob"
REWARD_MODEL = "reward_model"


async def trace_scores(session: Session, traces: Sequence[Trace], source: str) -> list[float | None]:
    """A score per trace, higher is better; None where a trace has none (unscored is not zero).

    ``source``: "mean_logprob" of the sampled tokens; "reward_model", its score after the last step, or
    "reward_model:min" and so on for the other reductions; any other word is a number recorded with the trace, such
    as "reward". A minus before a recorded word ("-mean_ppl") turns its sign, for numbers that are better when lower.
    Raises ``UsageError`` if no trace has the number, or for a reduction that is none.
    """
    name, _, reduction = source.partition(":")
    if name == REWARD_MODEL:
        return await rewards(session, traces, reduction or "last")
    if source == MEAN_LOGPROB:
        scores = [float(t.logprobs.mean()) if len(t.logprobs) else None for t in traces]
    else:
        scores = [_recorded(t, source) for t in traces]
    if traces and all(s is None for s in scores) and any(t.tokens for t in traces):
        known = sorted({key for t in traces for key, value in t.metadata.items() if isinstance(value, int | float)})
        shown = ", ".join([MEAN_LOGPROB, REWARD_MODEL, *known])
        raise UsageError(f"no trace of problem {session.problem.id} has a score {source!r}; known here: {shown}")
    return scores


async def rewards(session: Session, traces: Sequence[Trace], reduction: str = "last") -> list[float | None]:
    """The reward model's scores reduced to one number a trace; None where it could not score one.

    Raises ``UsageError`` for a run without a reward model and for a reduction that is none.
    """
    for known in REDUCTIONS:
        if known == reduction:
            scores = await session.score(traces, whole=known == "model")
            return [s.reduced(known) for s in scores]
    raise UsageError(f"there is no reduction {reduction!r}; there are {', '.join(REDUCTIONS)}")


def _recorded(trace: Trace, source: str) -> float | None:
    value = trace.metadata.get(source.removeprefix("-"))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return -float(value) if source.startswith("-") else float(value)
