"""Keys and values of token prefixes that were computed before, looked up by their exact tokens."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray


class _Node:
    """A run of tokens that follows its parent's; ``kv`` ``[layers, 2, kv_heads, length, head_dim]`` is its own copy."""

    __slots__ = ("children", "kv", "parent", "tokens")

    def __init__(self, parent: _Node | None, tokens: IntArray, kv: FloatArray | None) -> None:
        self.parent = parent
        self.tokens = tokens
        self.kv = kv
        self.children: dict[int, _Node] = {}


class PrefixCache:
    """A radix tree over token sequences, exact to the token: nothing is rounded to blocks.

    Prefixes are stored once, however many sequences share them. Readers copy what they need and hold no reference, so
    anything may be evicted at any time; the least recently used leaf goes first. ``nbytes`` is what it holds; the owner
    limits it with ``evict``.
    """

    def __init__(self) -> None:
        self.nbytes = 0
        self._root = _Node(None, np.empty(0, np.int64), None)
        # Least recently used first. A node is always touched before its parent, so the first one is a leaf.
        self._order: OrderedDict[_Node, None] = OrderedDict()

    def match(self, tokens: IntArray) -> int:
        """How many leading tokens are cached; marks them as used."""
        path = self._walk(tokens)
        self._touch(path[-1][0] if path else None)
        return sum(length for _, length in path)

    def load(self, tokens: IntArray, kv: FloatArray) -> int:
        """Copy the cached prefix of ``tokens`` into ``kv`` ``[layers, 2, kv_heads, T, head_dim]``; its length."""
        end = 0
        for node, length in self._walk(tokens):
            assert node.kv is not None
            kv[:, :, :, end : end + length] = node.kv[:, :, :, :length]
            end += length
        return end

    def insert(self, tokens: IntArray, kv: FloatArray) -> None:
        """Keep the prefix ``tokens``, whose keys and values are the first positions of ``kv``."""
        path = self._walk(tokens)
        parent, end = self._root, sum(length for _, length in path)
        if path:
            parent, length = path[-1]
            if length < len(parent.tokens):
                parent = self._split(parent, length)
        if end < len(tokens):
            parent = self._add(parent, tokens[end:].copy(), kv[:, :, :, end : len(tokens)].copy())
        self._touch(parent)

    def evict(self, nbytes: int) -> None:
        """Drop least recently used leaves until at most ``nbytes`` remain."""
        while self.nbytes > nbytes and self._order:
            node, _ = self._order.popitem(last=False)
            assert node.parent is not None
            assert node.kv is not None
            del node.parent.children[int(node.tokens[0])]
            self.nbytes -= node.kv.nbytes

    def _walk(self, tokens: IntArray) -> list[tuple[_Node, int]]:
        """The nodes along ``tokens`` and how many tokens of each agree; only the last may agree in part."""
        path: list[tuple[_Node, int]] = []
        node, end = self._root, 0
        while end < len(tokens):
            child = node.children.get(int(tokens[end]))
            if child is None:
                break
            length = shared_length(child.tokens, tokens[end:])
            path.append((child, length))
            if length < len(child.tokens):
                break
            node, end = child, end + length
        return path

    def _add(self, parent: _Node, tokens: IntArray, kv: FloatArray) -> _Node:
        node = _Node(parent, tokens, kv)
        parent.children[int(tokens[0])] = node
        self._order[node] = None
        self.nbytes += kv.nbytes
        return node

    def _split(self, node: _Node, length: int) -> _Node:
        """Cut a node in two; returns the upper half, which holds its first ``length`` tokens."""
        assert node.parent is not None
        assert node.kv is not None
        upper = self._add(node.parent, node.tokens[:length].copy(), node.kv[:, :, :, :length].copy())
        self.nbytes -= upper.kv.nbytes if upper.kv is not None else 0  # moved, not added
        node.parent, node.tokens = upper, node.tokens[length:].copy()
        node.kv = node.kv[:, :, :, length:].copy()
        upper.children[int(node.tokens[0])] = node
        return upper

    def _touch(self, node: _Node | None) -> None:
        while node is not None and node is not self._root:
            self._order.move_to_end(node)
            node = node.parent


def shared_length(a: IntArray, b: IntArray) -> int:
    """How many leading tokens two sequences share."""
    n = min(len(a), len(b))
    differs = a[:n] != b[:n]
    first = int(differs.argmax()) if n else 0
    return first if n and differs[first] else n
