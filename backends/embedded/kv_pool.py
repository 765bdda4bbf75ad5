"""The keys and values that sequences being decoded work on, contiguous by length."""

from __future__ import annotations

import math

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray

_KEPT = 1 << 20
"""A pool with eight times as many bytes stays as it is when it empties: what it would give back is soon needed again.
"""


class KVPool:
    """Slots for sequences of one bucket; used slots are the first ``len(self)``, without gaps.

    So a step reads all of them as one array, without gathering. ``kv`` is ``float32 [capacity, layers, 2, kv_heads, T,
    head_dim]``; ``rows`` ``int64 [capacity]`` says which row of the decode batch a slot serves.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._slot_bytes = 4 * math.prod(shape)
        self._kept = _KEPT // self._slot_bytes
        self._used = 0
        # Zeros, not garbage: a position beyond a row's length has weight zero, and 0 * NaN would be NaN.
        self._kv = np.zeros((0, *shape), np.float32)
        self._rows = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return self._used

    @property
    def kv(self) -> FloatArray:
        return self._kv[: self._used]

    @property
    def rows(self) -> IntArray:
        return self._rows[: self._used]

    @property
    def length(self) -> int:
        """How many positions a slot holds."""
        return self._shape[-2]

    @property
    def nbytes(self) -> int:
        return self._used * self._slot_bytes

    def add(self, row: int, expected: int) -> int:
        """A slot for this row, with stale content; ``expected`` is how many sequences may end up here.

        Memory beyond the used slots is only reserved: the system provides it when it is first written.
        """
        if self._used == len(self._rows):
            self._resize(max(expected, 2 * self._used, 1))
        self._rows[self._used] = row
        self._used += 1
        return self._used - 1

    def remove(self, slot: int) -> int | None:
        """Free a slot, into which the last one moves; returns the row that moved, None if the slot was the last."""
        self._used -= 1
        last, moved = self._used, None
        if slot != last:
            self._kv[slot] = self._kv[last]
            moved = int(self._rows[last])
            self._rows[slot] = moved
        if 8 * (needed := max(self._used, self._kept)) <= len(self._rows):
            self._resize(2 * needed)
        return moved

    def _resize(self, capacity: int) -> None:
        kv, rows = np.zeros((capacity, *self._shape), np.float32), np.zeros(capacity, np.int64)
        kv[: self._used], rows[: self._used] = self.kv, self.rows
        self._kv, self._rows = kv, rows
