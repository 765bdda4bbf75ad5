"""Penalties on tokens that a sequence already holds."""

from __future__ import annotations

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.backend import SamplingParams


class Penalties:
    """The tokens of one sequence, and the scores after its penalties; meanings as in ``SamplingParams``."""

    def __init__(self, params: SamplingParams, prompt: IntArray, sampled: IntArray, vocab_size: int) -> None:
        self._params = params
        self._held = np.zeros(vocab_size, np.bool_)
        self._held[prompt] = True
        self._held[sampled] = True
        self._count = np.bincount(sampled, minlength=vocab_size).astype(np.float32)

    def count(self, token: int) -> None:
        """Note a sampled token."""
        self._held[token] = True
        self._count[token] += 1

    def applied(self, scores: FloatArray) -> FloatArray:
        """Scores ``[vocab]`` of the next token after penalties; they depend on this sequence alone."""
        params, out = self._params, scores.copy()
        if params.repetition_penalty != 1:
            rate = np.float32(params.repetition_penalty)
            held = out[self._held]
            out[self._held] = np.where(held > 0, held / rate, held * rate)
        if params.frequency_penalty:
            out -= np.float32(params.frequency_penalty) * self._count
        if params.presence_penalty:
            out -= np.float32(params.presence_penalty) * (self._count > 0)
        return out
