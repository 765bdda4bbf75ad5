"""Sequences that grow token by token and are read again and again without being rebuilt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from widthwise.core.arrays import IntArray
from widthwise.core.backend import TokenStats

_UNFINISHED = "\ufffd"
"""What a tokenizer decodes an incomplete character's bytes to."""


class Rows:
    """An array that grows at its end, at constant cost per row; existing views do not change."""

    def __init__(self) -> None:
        self._rows: NDArray[Any] | None = None
        self._count = 0

    def extend(self, rows: NDArray[Any]) -> None:
        """Append ``rows``."""
        end = self._count + len(rows)
        if self._rows is None:
            self._rows = np.array(rows)
        elif end > len(self._rows):
            room = np.empty((max(end, 2 * len(self._rows)), *rows.shape[1:]), self._rows.dtype)
            room[: self._count] = self._rows[: self._count]
            self._rows = room
        self._rows[self._count : end] = rows
        self._count = end

    @property
    def view(self) -> Any:
        """The rows so far, not copied."""
        return None if self._rows is None else self._rows[: self._count]


class Stats:
    """Token statistics that grow; ``view`` is None once some tokens came without statistics."""

    def __init__(self) -> None:
        self._logprobs, self._top_ids, self._top_logprobs = Rows(), Rows(), Rows()
        self._known = self._tops = True

    def extend(self, stats: TokenStats | None) -> None:
        """Append the statistics of further tokens."""
        self._known = self._known and stats is not None
        if stats is None or not self._known:
            return
        self._logprobs.extend(stats.logprobs)
        self._tops = self._tops and stats.top_ids is not None and stats.top_logprobs is not None
        if self._tops and stats.top_ids is not None and stats.top_logprobs is not None:
            self._top_ids.extend(stats.top_ids)
            self._top_logprobs.extend(stats.top_logprobs)

    @property
    def view(self) -> TokenStats | None:
        """The statistics so far, not copied; with those of the most likely tokens if all tokens have them."""
        logprobs = self._logprobs.view
        if not self._known or logprobs is None:
            return None
        if not self._tops:
            return TokenStats(logprobs)
        return TokenStats(logprobs, self._top_ids.view, self._top_logprobs.view)


class Spelling:
    """The text of a growing token sequence. Only the last few tokens are decoded again when more have come."""

    def __init__(self, decode: Callable[[IntArray], str]) -> None:
        self._decode = decode
        self._spelled = ""
        self._begin = self._end = 0

    def of(self, ids: IntArray) -> str:
        """The text of ``ids``, which begin with those of the last call."""
        # A token may be spelled differently at the beginning of a text, so decoding includes the last settled tokens.
        context = self._decode(ids[self._begin : self._end])
        text = self._decode(ids[self._begin :])
        text_so_far = self._spelled + text[len(context) :]
        if not text.endswith(_UNFINISHED):
            self._spelled, self._begin, self._end = text_so_far, self._end, len(ids)
        return text_so_far
