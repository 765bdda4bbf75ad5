"""How undecided a model was about its next token, as far as its most likely tokens tell."""

from __future__ import annotations

import numpy as np

from widthwise.core.arrays import DoubleArray
from widthwise.core.backend import TokenStats
from widthwise.core.errors import UsageError

Entropy = DoubleArray
"""One number per token, ``float64 [t]``, in nats."""


def token_entropy(stats: TokenStats | None, top: int | None = None) -> Entropy:
    """A lower bound on the entropy of the distribution that each token was drawn from, ``float64 [t]``, in nats.

    Only the ``top`` most likely tokens are known (None: all that were recorded), with probabilities p_1 >= ... >= p_k.
    None of the others, which have r = 1 - sum(p) together, is more likely than p_k: they contribute at least
    -r log min(r, p_k). The bound falls short by at most r log(V min(r, p_k) / r) for a vocabulary of V tokens, and not
    at all if r is 0. It is the raw distribution: before temperature, penalties and filters. Raises ``UsageError`` if
    the statistics do not hold that many tokens.
    """
    logprobs = None if stats is None else stats.top_logprobs
    known = 0 if logprobs is None else logprobs.shape[1]
    if logprobs is None or known < (top or 1):
        raise UsageError(
            f"entropy needs the log-probabilities of the {top or ''} most likely tokens, but these traces have "
            f"{known}: sample them with logprobs={top or 20}"
        )
    logs = logprobs[:, :top].astype(np.float64)
    likely = np.exp(logs)
    rest = np.clip(1.0 - likely.sum(axis=1), 0.0, 1.0)
    least = np.minimum(rest, likely.min(axis=1, where=likely > 0, initial=1.0))
    bound: Entropy = _surprise(likely, likely).sum(axis=1) + _surprise(rest, least)
    return bound


def _surprise(mass: Entropy, each: Entropy) -> Entropy:
    """``-mass log(each)``, 0 where there is no mass."""
    surprise: Entropy = -mass * np.log(each, where=(mass > 0) & (each > 0), out=np.zeros_like(mass))
    return surprise
