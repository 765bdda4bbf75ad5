"""The scores of stored samples, single ones and combinations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from widthwise.core.arrays import DoubleArray
from widthwise.core.errors import UsageError
from widthwise.core.scores.combination import combination
from widthwise.core.scores.trace_score import LOGPROBS, REWARD_MODEL, recorded_score
from widthwise.core.trace.recording import Sample
from widthwise.core.trace.trace import Trace
from widthwise.evals.store.recorded_scores import RecordedScores


def is_relative(score: str) -> bool:
    """Whether a sample's score depends on which others of its problem were drawn."""
    combined = combination(score)
    return combined is not None and combined.relative


def check_absolute(score: str, what: str) -> None:
    """Raises ``UsageError`` for a score that depends on which samples are drawn: subsets have scores of their own."""
    if is_relative(score):
        raise UsageError(
            f"{what}: rank() and z() depend on which samples are drawn, so a curve cannot show them; evaluate a "
            "strategy at each budget, or combine the scores by * and + alone"
        )


def scored(names: Sequence[str], read: Callable[[str], list[float]]) -> dict[str, DoubleArray]:
    """The scores of one problem's samples by name, of which ``read`` reads one that is no combination."""
    combined = {name: combination(name) for name in names}
    single = {each for name, parts in combined.items() for each in (parts.sources if parts else [name])}
    known = {name: np.array(read(name), float) for name in single}
    return {name: parts.values(known) if parts else known[name] for name, parts in combined.items()}


def trace_score(judged: RecordedScores, problem_id: str, trace: Trace, name: str) -> float:
    """A score of a run's trace; NaN if it has none."""
    source, _, reduction = name.partition(":")
    by_model = source == REWARD_MODEL
    found = judged.reduced(problem_id, trace, reduction or "last") if by_model else recorded_score(trace, name)
    return np.nan if found is None else found


def recorded_number(metadata: Mapping[str, Any], name: str) -> float:
    """A number recorded with a sample, a minus before its name turning the sign; NaN if there is none."""
    value = metadata.get(name.removeprefix("-"))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return np.nan
    return -float(value) if name.startswith("-") else float(value)


def sample_score(sample: Sample, name: str) -> float:
    """A score of a recorded sample; NaN if it has none."""
    if name in LOGPROBS:
        known = np.empty(0, np.float32) if sample.stats is None else sample.stats.logprobs
        return LOGPROBS[name](known[~np.isnan(known)])
    return recorded_number(sample.metadata, name)
