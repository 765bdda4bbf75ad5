"""The tree of a stored problem: its nodes, and what every round of a search drew, kept and held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from widthwise.core.trace.trace import Trace, TraceId, name


@dataclass(frozen=True, slots=True)
class Round:
    """One round of a search in figures.

    ``drawn`` steps were made; of these ``expanded`` were continued, ``pruned`` given up, ``finished`` ended their
    trace, and ``other`` were cut off or failed. ``held`` are the unique tokens on the paths of all drawn steps: what a
    perfect prefix cache holds before anything of the round is pruned, as ETS counts it; ``held_without_prompt`` those
    after the prompt.
    """

    number: int
    drawn: int
    expanded: int
    pruned: int
    finished: int
    other: int
    held: int
    held_without_prompt: int


class SearchTree:
    """All nodes above ``leaves``, by id."""

    def __init__(self, leaves: Sequence[Trace]) -> None:
        self.nodes: dict[TraceId, Trace] = {}
        self.children: dict[TraceId, list[Trace]] = {}
        for leaf in leaves:
            for node in takewhile(lambda node: node.id not in self.nodes, leaf.lineage):
                self.nodes[node.id] = node
                self.children.setdefault(node.id[:-1], []).append(node)
        for below in self.children.values():
            below.sort(key=lambda trace: trace.id)

    @property
    def roots(self) -> list[Trace]:
        return self.children.get((), [])

    def rounds(self) -> list[Round]:
        """The rounds of a search, in order; none if the strategy did not search by rounds."""
        drawn: dict[int, list[Trace]] = {}
        for _, node in sorted(self.nodes.items()):
            number = node.segment.metadata.get("round")
            if isinstance(number, int):
                drawn.setdefault(number, []).append(node)
        return [self._round(number, nodes) for number, nodes in sorted(drawn.items())]

    def _round(self, number: int, nodes: Sequence[Trace]) -> Round:
        ends = [node.finish for node in nodes if node.id not in self.children]
        held = {above for node in nodes for above in _path(node)}
        tokens = sum(len(self.nodes[i].segment) for i in held)
        prompt = sum(len(self.nodes[i].segment) for i in held if self.nodes[i].segment.origin == "prompt")
        pruned, finished = ends.count("pruned"), ends.count("stop")
        other = len(ends) - pruned - finished
        return Round(number, len(nodes), len(nodes) - len(ends), pruned, finished, other, tokens, tokens - prompt)

    def rows(self) -> list[dict[str, Any]]:
        """Every node as JSON values, in order of the ids."""
        return [_row(node) for _, node in sorted(self.nodes.items())]


def _path(node: Trace) -> list[TraceId]:
    return [node.id[:end] for end in range(1, len(node.id) + 1)]


def _row(node: Trace) -> dict[str, Any]:
    segment = node.segment
    return {
        "node": name(node.id),
        "origin": segment.origin,
        "tokens": len(segment),
        "score": segment.metadata.get("score"),
        "unscored": segment.metadata.get("unscored"),
        "round": segment.metadata.get("round"),
        "finish": node.finish,
        "reason": segment.reason,
        "text": segment.text,
    }
