"""A sequence entering the engine: its tokens are computed in chunks before it decodes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from widthwise.backends.embedded.llama import AttentionGroup, bucket
from widthwise.backends.embedded.token_sequence import TokenSequence
from widthwise.core.arrays import FloatArray, IntArray

PREFILL_ROWS = 256
"""Prompt tokens computed in one step: enough to spread its fixed cost, few enough not to stall decoding."""


@dataclass(slots=True, eq=False)
class Prefill:
    """A sequence whose tokens, except for the last, are being computed, ``done`` of them so far.

    ``kv`` is ``float32 [layers, 2, kv_heads, T, head_dim]``. ``followers`` wait for it, to load what it computed.
    """

    sequence: TokenSequence
    kv: FloatArray
    done: int
    followers: list[TokenSequence] = field(default_factory=list)

    @property
    def tokens(self) -> IntArray:
        return self.sequence.tokens[:-1]

    def groups(self, end: int, row: int) -> list[AttentionGroup]:
        """Tokens ``done`` … ``end`` - 1 as rows of the step from ``row`` on, a group per bucket."""
        groups, start = [], self.done
        while start < end:
            length = bucket(start + 1)
            positions = np.arange(start, min(length, end))
            rows = slice(row + start - self.done, row + start - self.done + len(positions))
            groups.append(AttentionGroup(rows, self.kv[None, ..., :length, :], np.zeros_like(positions), positions))
            start = length
        return groups
