"""What to keep of a forward pass over a token sequence after which nothing is sampled."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from widthwise.backends.embedded.llama import Llama
from widthwise.backends.embedded.sampling import log_softmax
from widthwise.backends.embedding import unit
from widthwise.core.arrays import FloatArray


class Probe(Protocol):
    """``take`` receives the hidden states ``float32 [n, width]`` of positions ``start`` on, piece by piece in order.

    They are valid during the call only. Positions before ``first`` are not needed and may come from a cache. ``clear``
    forgets what was taken, because the sequence is computed again.
    """

    first: int

    def take(self, start: int, hidden: FloatArray) -> None: ...

    def clear(self) -> None: ...


class LabelProbe:
    """Log-probabilities of some tokens as the next one, at some positions."""

    def __init__(self, model: Llama, positions: tuple[int, ...], labels: tuple[int, ...]) -> None:
        self.first = positions[0]
        self._model = model
        self._positions = np.array(positions, np.int64)
        self._labels = np.array(labels, np.int64)
        self.clear()

    def take(self, start: int, hidden: FloatArray) -> None:
        wanted = self._positions[(self._positions >= start) & (self._positions < start + len(hidden))]
        if len(wanted):
            logprobs = log_softmax(self._model.logits(hidden[wanted - start]))
            self._taken.append(logprobs[:, self._labels])

    def clear(self) -> None:
        self._taken: list[FloatArray] = []

    @property
    def values(self) -> FloatArray:
        """``float32 [positions, labels]``."""
        return np.concatenate(self._taken)


class MeanProbe:
    """The mean of the last layer's hidden states over all positions, each normalised to the same length first."""

    first = 0

    def __init__(self) -> None:
        self.clear()

    def take(self, start: int, hidden: FloatArray) -> None:
        self._taken.append(unit(hidden))

    def clear(self) -> None:
        self._taken: list[FloatArray] = []

    @property
    def value(self) -> FloatArray:
        """``float32 [width]``, of unit length; the same bytes however the sequence was cut into pieces."""
        vector: FloatArray = unit(np.concatenate(self._taken).mean(axis=0, keepdims=True))[0]
        return vector
