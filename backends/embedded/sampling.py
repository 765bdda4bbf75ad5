"""From scores to tokens, for many sequences at once and for each as if it were alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from widthwise.core.arrays import DoubleArray, FloatArray, IntArray
from widthwise.core.backend import SamplingParams

# Random numbers are generated in runs of this many positions: setting up the generator costs more than a number.
RUN = 64
_STRETCH = 32
# The largest random number: its product with a total stays below the total.
_BELOW_ONE = 1 - 2.0**-52


def uniforms(seed: int, run: int) -> DoubleArray:
    """The numbers in [0, 1) that decide the tokens at positions ``run * RUN`` … ``run * RUN + RUN - 1``.

    Philox is a counter-based generator: keyed by the seed, it gives number i without those before it. So a
    token depends on seed, position and scores, not on when or where it is drawn.
    """
    words = np.random.Philox(key=seed, counter=run * RUN).random_raw(RUN)
    # 52 bits, so at most _BELOW_ONE.
    return np.asarray((words >> np.uint64(12)) * 2.0**-52, np.float64)


@dataclass(frozen=True, slots=True)
class Knobs:
    """The sampling parameters of n rows, one array ``[n]`` per parameter; meanings as in ``SamplingParams``."""

    temperature: FloatArray
    top_k: IntArray
    top_p: DoubleArray
    min_p: FloatArray

    @classmethod
    def rows(cls, n: int) -> Knobs:
        """Room for n rows, all plain sampling."""
        return cls(np.ones(n, np.float32), np.zeros(n, np.int64), np.ones(n), np.zeros(n, np.float32))

    def put(self, row: int, params: SamplingParams) -> None:
        self.temperature[row] = params.temperature
        self.top_k[row] = params.top_k
        self.top_p[row] = params.top_p
        self.min_p[row] = params.min_p

    def take(self, rows: IntArray | NDArray[np.bool_]) -> Knobs:
        return Knobs(self.temperature[rows], self.top_k[rows], self.top_p[rows], self.min_p[rows])


def choose(
    logits: FloatArray, knobs: Knobs, numbers: DoubleArray, penalised: FloatArray | None = None
) -> tuple[IntArray, FloatArray]:
    """Tokens ``int64 [n]`` and their raw log-probabilities for scores ``[n, vocab]`` and random numbers ``[n]``.

    ``penalised`` are the scores to draw from, if they are not ``logits`` themselves.
    """
    raw = relative = logits - logits.max(-1, keepdims=True)
    weights = np.exp(relative)
    normaliser = np.log(weights.sum(-1))
    if penalised is not None:
        logits, relative = penalised, penalised - penalised.max(-1, keepdims=True)
        weights = np.exp(relative)
    greedy = knobs.temperature == 0
    if (knobs.temperature != 1).any():
        weights = np.exp(relative / np.where(greedy, np.float32(1), knobs.temperature)[:, None])
    filtered = (knobs.top_k > 0) | (knobs.top_p < 1) | (knobs.min_p > 0)
    if filtered.any():
        weights[filtered] = _filter(weights[filtered], knobs.take(filtered))
    tokens = _invert(weights, numbers)
    if greedy.any():
        tokens[greedy] = logits[greedy].argmax(-1)
    return tokens, raw[np.arange(len(tokens)), tokens] - normaliser


def log_softmax(logits: FloatArray) -> FloatArray:
    """Log-probabilities of scores ``[n, vocab]``, with exactly the operations of ``choose``."""
    relative: FloatArray = logits - logits.max(-1, keepdims=True)
    normaliser: FloatArray = np.log(np.exp(relative).sum(-1))
    return relative - normaliser[:, None]


def most_likely(logprobs: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """Ids and log-probabilities ``[n, k]`` of each row's k most likely tokens, in descending order."""
    k = min(k, logprobs.shape[1])
    part = np.argpartition(-logprobs, k - 1, axis=-1)[:, :k] if k < logprobs.shape[1] else _columns(logprobs)
    values = np.take_along_axis(logprobs, part, -1)
    order = np.lexsort((part, -values), axis=-1)
    return np.take_along_axis(part, order, -1), np.take_along_axis(values, order, -1)


def _columns(rows: FloatArray) -> IntArray:
    return np.broadcast_to(np.arange(rows.shape[1]), rows.shape)


def _invert(weights: FloatArray, numbers: DoubleArray) -> IntArray:
    """The token at which the running sum of the weights passes ``number * total``; never one of weight zero.

    In two strides, because running sums are slow: first to a stretch of the vocabulary, then inside it.
    """
    n, vocab = weights.shape
    stretches = np.zeros((n, -(-vocab // _STRETCH), _STRETCH), np.float32)
    stretches.reshape(n, -1)[:, :vocab] = weights
    stretch, inside = _pass(np.einsum("nsw->ns", stretches), numbers)
    token, _ = _pass(stretches[np.arange(n), stretch], inside)
    tokens: IntArray = stretch * _STRETCH + token
    return tokens


def _pass(weights: FloatArray, numbers: DoubleArray) -> tuple[IntArray, DoubleArray]:
    """Where the running sum passes ``number * total``, and how far into that weight, in [0, 1)."""
    sums = np.cumsum(weights, axis=-1, dtype=np.float64)
    targets = numbers * sums[:, -1]
    passed = (sums > targets[:, None]).argmax(-1)
    rows = np.arange(len(weights))
    own = weights[rows, passed].astype(np.float64)
    into = 1 - (sums[rows, passed] - targets) / own
    return passed, np.clip(into, 0, _BELOW_ONE)


def _filter(weights: FloatArray, knobs: Knobs) -> FloatArray:
    """Weights with min_p, then top_k, then top_p applied: zero where a token is out. Ties at the edge stay in."""
    falling = -np.sort(-weights, axis=-1)
    limit = np.where(knobs.top_k > 0, knobs.top_k, weights.shape[1])
    inside = (np.arange(weights.shape[1]) < limit[:, None]) & (falling >= (knobs.min_p * falling[:, 0])[:, None])
    kept = np.where(inside, falling, 0).astype(np.float64)
    sums = np.cumsum(kept, axis=-1)
    # A token stays while those before it hold less than top_p of what is left.
    stays = inside & (sums - kept < knobs.top_p[:, None] * sums[:, -1:])
    threshold = falling[np.arange(len(falling)), stays.sum(-1) - 1]
    return np.where(weights >= threshold[:, None], weights, 0)
