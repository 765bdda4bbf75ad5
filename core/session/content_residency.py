"""How many tokens a cache holds that keeps equal prefixes once, whichever traces they belong to."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np

from widthwise.core.backend import IntArray
from widthwise.core.session.gauge import Gauge
from widthwise.core.trace.trace import Trace, TraceId

Tokens = array  # of 64-bit integers


class Piece:
    """A run of tokens after the piece ``parent``; ``children`` by their first tokens.

    It is in the cache while it has ``holders``: traces that end in it, and children that are in the cache. A ``fixed``
    piece is the end of a trace, and does not grow any more.
    """

    __slots__ = ("children", "fixed", "holders", "parent", "tokens")

    def __init__(self, tokens: Tokens[int], parent: Piece | None) -> None:
        self.tokens = tokens
        self.parent = parent
        self.children: dict[int, Piece] = {}
        self.holders = 0
        self.fixed = False


class PrefixTree:
    """Token sequences in which equal prefixes are stored once; ``resident`` counts the tokens of all that is held."""

    def __init__(self) -> None:
        self.root = Piece(array("q"), None)
        self.root.fixed = True
        self.resident = 0

    def walk(self, piece: Piece, tokens: Tokens[int]) -> Piece:
        """The piece that ends with ``tokens`` after the end of ``piece``; what is missing is created.

        The piece at the start grows itself if nothing but the caller holds it and nothing follows it.
        """
        begin = piece
        while tokens:
            child = piece.children.get(tokens[0])
            if child is None:
                return self._extended(piece, tokens) if piece is begin and _is_own(piece) else _added(piece, tokens)
            length = _common(child.tokens, tokens)
            piece = child if length == len(child.tokens) else _split(child, length)
            tokens = tokens[length:]
        return piece

    def hold(self, piece: Piece) -> None:
        """Keep everything up to the end of ``piece``; once for every later ``release``."""
        node: Piece | None = piece
        while node is not None:
            node.holders += 1
            if node.holders > 1:
                return
            self.resident += len(node.tokens)
            node = node.parent

    def release(self, piece: Piece) -> None:
        """Let go of it, unless something else holds it."""
        node: Piece | None = piece
        while node is not None:
            node.holders -= 1
            if node.holders:
                return
            self.resident -= len(node.tokens)
            node = node.parent

    def _extended(self, piece: Piece, tokens: Tokens[int]) -> Piece:
        piece.tokens.extend(tokens)
        self.resident += len(tokens)
        return piece


class ContentResidency:
    """Unique resident tokens as in ``Residency``, but equal prefixes count once: a cache of hashed blocks."""

    def __init__(self) -> None:
        self.gauge = Gauge()
        self._tree = PrefixTree()
        self._ends: dict[TraceId, Piece] = {}
        self._tips: dict[TraceId, Piece] = {}

    @property
    def resident(self) -> int:
        return self._tree.resident

    def hold(self, trace: Trace) -> None:
        """Keep ``trace``'s path; once for every later ``release``."""
        self._tree.hold(self._end(trace))

    def release(self, trace: Trace) -> None:
        """Let go of ``trace``'s path, except for prefixes shared with other held traces."""
        self._tree.release(self._end(trace))

    def grow(self, id: TraceId, parent: Trace, tokens: IntArray) -> None:
        """The branch ``id`` of ``parent`` has grown by ``tokens``."""
        if not len(tokens):
            return
        tip = self._tips.get(id)
        grown = self._tree.walk(self._end(parent) if tip is None else tip, _tokens(tokens))
        self._tree.hold(grown)
        if tip is not None:
            self._tree.release(tip)
        self._tips[id] = grown
        self.gauge.note(self.resident, len(tokens))

    def drop(self, id: TraceId) -> None:
        """What the branch ``id`` has grown is gone; it may grow again."""
        tip = self._tips.pop(id, None)
        if tip is not None:
            self._tree.release(tip)

    def end(self, trace: Trace) -> None:
        """A branch ended with ``trace``, which is either held from now on or gone."""
        tip = self._tips.pop(trace.id, None)
        if tip is not None:
            tip.fixed = True
            self._ends[trace.id] = tip
            self._tree.release(tip)

    def _end(self, trace: Trace) -> Piece:
        """Where ``trace`` ends in the tree."""
        unknown: list[Trace] = []
        piece = self._tree.root
        for node in trace.lineage:
            if (known := self._ends.get(node.id)) is not None:
                piece = known
                break
            unknown.append(node)
        for node in reversed(unknown):
            piece = self._ends[node.id] = self._tree.walk(piece, _tokens(node.segment.token_ids))
            piece.fixed = True
        return piece


def distinct_tokens(traces: Iterable[Trace]) -> tuple[int, int]:
    """The tokens on the paths of ``traces``: counting shared segments once, and counting equal prefixes once."""
    by_node, by_content = dict[TraceId, int](), ContentResidency()
    for trace in traces:
        by_node.update((node.id, len(node.segment)) for node in trace.lineage)
        by_content.hold(trace)
    return sum(by_node.values()), by_content.resident


def _tokens(ids: IntArray) -> Tokens[int]:
    return array("q", np.ascontiguousarray(ids, np.int64).tobytes())


def _common(a: Tokens[int], b: Tokens[int]) -> int:
    """The length of the common prefix."""
    length = min(len(a), len(b))
    if a[:length] == b[:length]:
        return length
    return next(i for i in range(length) if a[i] != b[i])


def _is_own(piece: Piece) -> bool:
    return not piece.fixed and not piece.children and piece.holders == 1


def _added(piece: Piece, tokens: Tokens[int]) -> Piece:
    piece.children[tokens[0]] = child = Piece(tokens[:], piece)
    return child


def _split(piece: Piece, length: int) -> Piece:
    """Cut ``piece`` in two; the first part, of ``length`` tokens."""
    assert piece.parent is not None
    upper = Piece(piece.tokens[:length], piece.parent)
    upper.fixed, upper.holders = True, min(piece.holders, 1)
    piece.parent.children[upper.tokens[0]] = upper
    piece.tokens, piece.parent = piece.tokens[length:], upper
    upper.children[piece.tokens[0]] = piece
    return upper
