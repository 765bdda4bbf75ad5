"""How confident a model was in its tokens: per token, in sliding windows, and over whole traces.

The measures of DeepConf (Fu et al., arXiv 2508.15260). Windows overlap, stride 1. High means confident.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from widthwise.core.arrays import DoubleArray, FloatArray, IntArray
from widthwise.core.backend import TokenStats
from widthwise.core.errors import UsageError

Confidence = DoubleArray
"""One number per token (or per window), ``float64 [t]``."""

ConfidenceBasis = Literal["top", "top_and_sampled", "top_but_sampled", "sampled"]
"""From what the confidence of a token is computed.

"top": its most likely candidates, whichever was drawn (the paper's definition). "top_and_sampled": these and the drawn
token if it is not among them (the authors' release, afterwards). "top_but_sampled": these without it (the paper's
recipe for a server). "sampled": the probability of the drawn token alone, which reveals a slip that the candidates do
not.
"""


def token_confidence(stats: TokenStats | None, top: int | None = None, of: ConfidenceBasis = "top") -> Confidence:
    """How confident the model was at each token, ``float64 [t]``.

    Minus the mean log-probability of the ``top`` most likely tokens (None: all): a peaked distribution leaves its other
    candidates next to no probability, so the number is large. ``of`` says how the sampled token counts; with "sampled"
    only its probability does. Tokens that a filter ruled out (minus infinity) are left out. Raises ``UsageError`` if
    the statistics do not hold that many.
    """
    if of == "sampled":
        if stats is None:
            raise UsageError("confidence needs the log-probabilities of the sampled tokens: sample with logprobs=0")
        return np.exp(stats.logprobs, dtype=np.float64)
    logprobs = None if stats is None else stats.top_logprobs
    known = 0 if logprobs is None else logprobs.shape[1]
    if stats is None or logprobs is None or known < (top or 1):
        raise UsageError(
            f"confidence needs the log-probabilities of the {top or ''} most likely tokens, but these traces have "
            f"{known}: sample (or record) them with logprobs={top or 20}"
        )
    logprobs = logprobs[:, :top]
    total, counts = _summed(logprobs)
    if of != "top":
        among = stats.logprobs >= logprobs[:, -1]
        if of == "top_and_sampled":
            total, counts = total - np.where(among, 0.0, stats.logprobs), counts + ~among
        else:
            total, counts = total + np.where(among, stats.logprobs, 0.0), np.maximum(counts - among, 1)
    confidence: Confidence = total / counts
    return confidence


def _summed(logprobs: FloatArray) -> tuple[Confidence, IntArray]:
    """Minus the sum of each row's finite log-probabilities ``[t, k]``, and their number, at least 1."""
    # Column by column: rows of twenty are too short for a fast reduction, and each token's sum is its own,
    # whatever part of the trace it was computed with.
    total: Confidence = np.zeros(len(logprobs))
    for column in logprobs.T:
        total -= column
    if np.isfinite(total).all():
        return total, np.full(len(logprobs), logprobs.shape[1])
    possible = np.isfinite(logprobs)
    total = -np.where(possible, logprobs, 0.0).sum(axis=1, dtype=np.float64)
    return total, np.maximum(possible.sum(axis=1), 1)


def group_confidence(confidence: Confidence, window: int) -> Confidence:
    """Mean of every full window, ``float64 [t - window + 1]``; the mean of everything if there is no full one."""
    window = min(window, len(confidence))
    if not window:
        return confidence
    changes = np.array(confidence)
    changes[window:] -= confidence[:-window]
    return np.cumsum(changes)[window - 1 :] / window


def mean(confidence: Confidence) -> float:
    """The whole trace's mean (a stand-in for self-certainty, Kang et al., arXiv 2502.18581); NaN for no tokens."""
    return float(confidence.mean()) if len(confidence) else float("nan")


def tail(confidence: Confidence, window: int = 2048) -> float:
    """Mean of the last ``window`` tokens; NaN for no tokens."""
    return mean(confidence[-window:])


def lowest_group(confidence: Confidence, window: int = 2048) -> float:
    """The least confident window's mean; the mean of everything if the trace is shorter; NaN for no tokens."""
    return float(group_confidence(confidence, window).min(initial=np.inf)) if len(confidence) else float("nan")


def bottom_percent(confidence: Confidence, window: int = 2048, percent: float = 10) -> float:
    """Mean of the least confident ``percent`` of the windows, at least of one; NaN for no tokens."""
    groups = group_confidence(confidence, window)
    count = max(1, int(len(groups) * percent / 100))
    return mean(np.partition(groups, count - 1)[:count]) if len(groups) else float("nan")


class SlidingConfidence:
    """Group confidence of a growing trace: constant work per token, the same bits as ``group_confidence``.

    ``lowest`` is the mean of the least confident full window so far; infinite while there is none.
    """

    def __init__(self, window: int) -> None:
        self.window = window
        self.tokens = 0
        self.lowest = float("inf")
        self._ring = np.zeros(window)
        self._sum = 0.0

    def take(self, confidence: Confidence) -> None:
        """Continue with these tokens' confidences, ``float64 [t]``."""
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
