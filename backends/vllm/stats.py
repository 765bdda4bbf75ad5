"""vLLM's log-probabilities as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from widthwise.core.backend import TokenStats


def token_stats(flat: Any, k: int) -> TokenStats:
    """Statistics of every position of a ``FlatLogprobs``, with the ``k`` most likely tokens.

    A position holds the token itself and then the k best. If vLLM merged outputs that the consumer had not yet picked
    up, a token that is among the best is listed only once.
    """
    starts = np.asarray(flat.start_indices, np.int64)
    widths = np.asarray(flat.end_indices, np.int64) - starts
    ids = np.asarray(flat.token_ids, np.int64)
    logprobs = np.asarray(flat.logprobs, np.float32)
    if np.any(widths != k + 1):
        return _uneven(ids, logprobs, starts, widths, k)
    rows = starts[:, None] + np.arange(k + 1)
    return _stats(ids[rows], logprobs[rows], k)


def prompt_stats(flat: Any, k: int) -> TokenStats:
    """Statistics of prompt positions 1, 2, ...; the first token has none."""
    return token_stats(flat[1:], k)


def _stats(ids: np.ndarray[Any, Any], logprobs: np.ndarray[Any, Any], k: int) -> TokenStats:
    """From ``[t, k + 1]`` arrays with the token itself in column 0."""
    own = np.ascontiguousarray(logprobs[:, 0])
    return TokenStats(own) if k == 0 else TokenStats(own, ids[:, 1:], logprobs[:, 1:])


def _uneven(
    ids: np.ndarray[Any, Any],
    logprobs: np.ndarray[Any, Any],
    starts: np.ndarray[Any, Any],
    widths: np.ndarray[Any, Any],
    k: int,
) -> TokenStats:
    rows = []
    for start, width in zip(starts, widths, strict=True):
        entries = np.arange(start, start + width)
        best = entries[np.argsort(-logprobs[entries], kind="stable")][:k]
        rows.append(np.concatenate([[start], best]))
    table = np.stack(rows)
    return _stats(ids[table], logprobs[table], k)
