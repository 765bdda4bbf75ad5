"""Log-probabilities as servers write them, read into statistics."""

from __future__ import annotations

import logging

import numpy as np

from widthwise.core.backend import TokenStats

_log = logging.getLogger(__name__)


def with_tops(own: list[float | None], tops: list[dict[int, float]], k: int) -> TokenStats:
    """Statistics with the ``k`` best of each position's ``{id: logprob}``, where every position has as many."""
    logprobs = np.array([np.nan if p is None else p for p in own], np.float32)
    if k == 0:
        return TokenStats(logprobs)
    if len(tops) < len(own) or any(len(top) < k for top in tops):
        _log.debug("the server gave fewer than %d most likely tokens somewhere: they are left out", k)
        return TokenStats(logprobs)
    best = [sorted(top.items(), key=lambda entry: -entry[1])[:k] for top in tops]
    ids = np.array([[token for token, _ in row] for row in best], np.int64).reshape(-1, k)
    return TokenStats(logprobs, ids, np.array([[p for _, p in row] for row in best], np.float32).reshape(-1, k))
