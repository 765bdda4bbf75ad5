"""A prefix cache that forgets nothing: which part of a prompt it would still have to compute."""

from __future__ import annotations

import numpy as np

from widthwise.core.session.prefix_tree import Piece, PrefixTree, Tokens, tokens_of
from widthwise.core.trace.trace import Trace, TraceId


class IdealCache:
    """Every text that one model has read or written for a problem; equal beginnings are in it once."""

    def __init__(self) -> None:
        self._tree = PrefixTree()
        self._ends: dict[TraceId, tuple[Piece, int]] = {}

    def known(self, trace: Trace) -> tuple[int, int]:
        """How many of the tokens of ``trace``, from its first on, are in the cache, and how many tokens it has."""
        if trace.id in self._ends:  # as for all but the first sample of a prompt
            _, length = self._ends[trace.id]
            return length, length
        piece, length, rest = self._nearest(trace)
        return length + self._tree.follow(piece, rest), length + len(rest)

    def add(self, trace: Trace) -> None:
        """Keep all of ``trace``."""
        if trace.id in self._ends:
            return
        piece, length, rest = self._nearest(trace)
        end = self._tree.walk(piece, rest)
        end.fixed = True
        self._ends[trace.id] = end, length + len(rest)

    def _nearest(self, trace: Trace) -> tuple[Piece, int, Tokens[int]]:
        """The end and the length of the closest trace on the path that was added, and the tokens after it."""
        piece, length, after = self._tree.root, 0, []
        for node in trace.lineage:
            if node.id in self._ends:
                piece, length = self._ends[node.id]
                break
            after.append(node.segment.token_ids)
        return piece, length, tokens_of(np.concatenate(after[::-1]) if after else np.empty(0, np.int64))
