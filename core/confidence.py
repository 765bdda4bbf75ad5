"""How sure a model was of its tokens: confidence per token, in sliding windows, and over whole traces.

The measures of DeepConf (Fu et al., arXiv 2508.15260). Windows overlap, stride 1. High is sure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from widthwise.core.backend import TokenStats
from widthwise.core.errors import UsageError

Confidence = NDArray[np.float64]
"""One number per token (or per window), ``float64 [t]``."""


def token_confidence(stats: TokenStats | None, top: int | None = None) -> Confidence:
    """Minus the mean log-probability of the ``top`` most likely tokens (None: all) at each token, ``float64 [t]``.

    A peaked distribution leaves its other candidates next to no probability, so that the number is large. The
    sampled token plays no part unless it is among them. Tokens that a filter ruled out (minus infinity) are left out.
    Raises ``UsageError`` where the statistics do not hold so many.
    """
    logprobs = None if stats is None else stats.top_logprobs
    known = 0 if logprobs is None else logprobs.shape[1]
    if logprobs is None or known < (top or 1):
        raise UsageError(
            f"confidence needs the log-probabilities of the {top or ''} most likely tokens, and these traces came with "
            f"{known}: sample (or record) them with logprobs={top or 20}"
        )
    logprobs = logprobs[:, :top]
    # Column by column: rows of twenty are too short for a fast reduction, and each token's sum is its own,
    # whatever part of the trace it was computed with.
    total: Confidence = np.zeros(len(logprobs))
    for column in logprobs.T:
        total -= column
    counts = np.full(len(logprobs), logprobs.shape[1])
    if not np.isfinite(total).all():
        possible = np.isfinite(logprobs)
        total = -np.where(possible, logprobs, 0.0).sum(axis=1, dtype=np.float64)
        counts = np.maximum(possible.sum(axis=1), 1)
    confidence: Confidence = total / counts
    return confidence


def group_confidence(confidence: Confidence, window: int) -> Confidence:
    """Mean of every full window, ``float64 [t - window + 1]``; the mean of all where there is no full one."""
    window = min(window, len(confidence))
    if not window:
        return confidence
    changes = np.array(confidence)
    changes[window:] -= confidence[:-window]
    return np.cumsum(changes)[window - 1 :] / window


def mean(confidence: Confidence) -> float:
    """The whole trace's mean (a stand-in for self-certainty, Kang et al., arXiv 2502.18581); NaN for no tokens."""
    return float(confidence.mean()) if len(confidence) else float("nan")


def tail(confidence: Confidence, tokens: int = 2048) -> float:
    """Mean of the last ``tokens``; NaN for no tokens."""
    return mean(confidence[-tokens:])


def lowest_group(confidence: Confidence, window: int = 2048) -> float:
    """The least sure window's mean; the mean of all where the trace is shorter; NaN for no tokens."""
    return float(group_confidence(confidence, window).min(initial=np.inf)) if len(confidence) else float("nan")


def bottom_percent(confidence: Confidence, window: int = 2048, percent: float = 10) -> float:
    """Mean of the least sure ``percent`` of the windows, at least of one; NaN for no tokens."""
    groups = group_confidence(confidence, window)
    count = max(1, int(len(groups) * percent / 100))
    return mean(np.partition(groups, count - 1)[:count]) if len(groups) else float("nan")


class SlidingConfidence:
    """Group confidence of a trace that grows: constant work per token, the same bits as ``group_confidence``.

    ``lowest`` is the mean of the least sure full window so far; infinite while there is none.
    """

    def __init__(self, window: int) -> None:
        self.window = window
        self.tokens = 0
        self.lowest = float("inf")
        self._ring = np.zeros(window)
        self._sum = 0.0

    def take(self, confidence: Confidence) -> None:
        """Go on by these tokens' confidences, ``float64 [t]``."""
        for start in range(0, len(confidence), self.window):
            self._take(confidence[start : start + self.window])

    def _take(self, confidence: Confidence) -> None:
        places = (self.tokens + np.arange(len(confidence))) % self.window
        sums = np.cumsum(np.concatenate([[self._sum], confidence - self._ring[places]]))[1:]
        self._ring[places] = confidence
        full = sums[max(self.window - 1 - self.tokens, 0) :]
        self.lowest = min(self.lowest, float(full.min(initial=np.inf)) / self.window)
        self.tokens += len(confidence)
        self._sum = float(sums[-1])

    @property
    def score(self) -> float:
        """``lowest_group`` of the tokens so far; NaN for none."""
        if self.tokens < self.window:
            return self._sum / self.tokens if self.tokens else float("nan")
        return self.lowest
