"""Token sequences in which equal prefixes are stored once."""

from __future__ import annotations

from array import array

import numpy as np

from widthwise.core.arrays import IntArray

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
        self.root = root()
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

    def follow(self, piece: Piece, tokens: Tokens[int]) -> int:
        """How many of ``tokens`` are stored after the end of ``piece``."""
        found = 0
        while found < len(tokens) and (child := piece.children.get(tokens[found])) is not None:
            length = _common(child.tokens, tokens[found:])
            found += length
            if length < len(child.tokens):
                break
            piece = child
        return found

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


def root() -> Piece:
    """Where sequences begin; those of two roots share nothing."""
    piece = Piece(array("q"), None)
    piece.fixed = True
    return piece


def tokens_of(ids: IntArray) -> Tokens[int]:
    """The ids as a tree stores them."""
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
