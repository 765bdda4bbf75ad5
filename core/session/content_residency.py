"""How many tokens a cache holds that keeps equal prefixes once, whichever traces they belong to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from widthwise.core.arrays import IntArray
from widthwise.core.session.gauge import Gauge
from widthwise.core.session.prefix_tree import Piece, PrefixTree, root, tokens_of
from widthwise.core.trace.trace import Trace, TraceId


class ContentResidency:
    """Unique resident tokens as in ``Residency``, but equal prefixes count once: a cache of hashed blocks.

    Each model has a cache of its own: what two of them compute for the same tokens is different.
    """

    def __init__(self) -> None:
        self.gauge = Gauge()
        self._tree = PrefixTree()
        self._roots = defaultdict[str, Piece](root)
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
        grown = self._tree.walk(self._end(parent) if tip is None else tip, tokens_of(tokens))
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
        for node in trace.lineage:
            if (known := self._ends.get(node.id)) is not None:
                piece = known
                break
            unknown.append(node)
        else:
            piece = self._roots[trace.model]
        for node in reversed(unknown):
            piece = self._ends[node.id] = self._tree.walk(piece, tokens_of(node.segment.token_ids))
            piece.fixed = True
        return piece


def distinct_tokens(traces: Iterable[Trace]) -> tuple[int, int]:
    """The tokens on the paths of ``traces``: with shared segments counted once, and with a model's equal prefixes."""
    by_node, by_content = dict[TraceId, int](), ContentResidency()
    for trace in traces:
        by_node.update((node.id, len(node.segment)) for node in trace.lineage)
        by_content.hold(trace)
    return sum(by_node.values()), by_content.resident
