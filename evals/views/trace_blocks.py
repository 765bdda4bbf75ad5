"""The traces of a run as the report shows them: one block per problem."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from widthwise.core.trace.trace import Segment, Trace, name
from widthwise.evals.store.outcome import Leaf, Outcome
from widthwise.evals.store.store import Ends, Store
from widthwise.evals.views.timeline import lane_row, lanes_of

_CUT = {"pruned": "p", "aborted": "p", "error": "e"}


def trace_blocks(store: Store) -> Iterator[tuple[str, dict[str, Any]]]:
    """The id and the block of each problem worked on; only one problem's traces are in memory at a time."""
    for outcome in store.outcomes():
        if outcome.state != "open":
            yield outcome.problem.id, _block(store, outcome)


def mark(leaf: Leaf) -> str:
    """One letter for a trace: right, wrong, right in part, no answer, stopped, cut by the budget, failed, ungraded."""
    if leaf.finish in _CUT:
        return _CUT[leaf.finish]
    if leaf.answer is None:
        return "b" if leaf.finish == "budget" else "-"
    if isinstance(leaf.correct, float):
        return "s"
    return {True: "r", False: "w", None: "u"}[leaf.correct]


def _block(store: Store, outcome: Outcome) -> dict[str, Any]:
    problem = outcome.problem
    leaves = {leaf.id: leaf for leaf in outcome.leaves if leaf.finish != "joined"}
    nodes = {node.id: node for leaf in store.traces(problem.id) for node in leaf.lineage}
    ends: Ends = store.token_ends(problem.id)
    return {
        "text": problem.text,
        "reference": problem.answer,
        "errors": outcome.errors,
        "costs": list(outcome.ledger.asdict().items()),
        "lanes": [lane_row(lane) for lane in lanes_of(store, problem.id)],
        "nodes": [_node(node, leaves.get(node.id), ends.get(node.id)) for _, node in sorted(nodes.items())],
    }


def _node(trace: Trace, leaf: Leaf | None, ends: Any) -> dict[str, Any]:
    segment = trace.segment
    known = segment.origin == "sampled" and ends is not None and segment.stats is not None
    return {
        "id": name(trace.id),
        "origin": segment.origin,
        "text": segment.text,
        "tokens": len(segment),
        "sequential": trace.sequential,
        "finish": segment.finish,
        "reason": None if segment.reason is None else str(segment.reason),
        "ends": ends if known else None,
        "doubts": _doubts(segment) if known else None,
        "metadata": dict(segment.metadata),
        **({} if leaf is None else {"answer": leaf.answer, "mark": mark(leaf)}),
    }


def _doubts(segment: Segment) -> Sequence[int | None]:
    """Hundredths of a nat that each token lacks to certainty: compact, and enough for a colour."""
    assert segment.stats is not None
    nats = -np.asarray(segment.stats.logprobs, np.float64)
    return [round(100 * min(x, 99.0)) if math.isfinite(x) else None for x in nats.tolist()]
