"""A critical path recomputed from the traces in a run file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from widthwise.core.backend import Backend, SamplingParams
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.trace.trace import Trace, TraceId
from widthwise.evals.runner import run, setting_for
from widthwise.evals.store.segment_rows import parse
from widthwise.evals.store.store import Store
from widthwise.evals.suites.suites import load_suite
from widthwise.models.formats import REASONER


def recounted_ends(tree: Mapping[TraceId, Trace]) -> dict[TraceId, int]:
    """When each trace ended, computed only from parents, what each trace waited for, and lengths."""
    ends: dict[TraceId, int] = {}

    def begins(trace: Trace) -> int:
        before = [end(tree[trace.parent.id])] if trace.parent else [0]
        if trace.parent and "at" in trace.segment.metadata:  # a copy of a trace that continued to grow
            before = [begins(tree[trace.parent.id]) + int(trace.segment.metadata["at"])]
        before += map(seen, trace.segment.metadata.get("after", ()))
        if trace.segment.origin == "sampled" and trace.waited is not None:
            before.append(begins(tree[trace.waited.trace]) + trace.waited.tokens)
        return max(before)

    def seen(written: str) -> int:
        """When the part of another trace that was seen was there: all of it, or so many tokens of one that grew."""
        name, grew, tokens = written.partition("@")
        return begins(tree[parse(name)]) + int(tokens) if grew else end(tree[parse(name)])

    def end(trace: Trace) -> int:
        if trace.id not in ends:
            ends[trace.id] = begins(trace) + (len(trace.segment) if trace.segment.origin == "sampled" else 0)
        return ends[trace.id]

    return {place: end(trace) for place, trace in tree.items()}


def recounted(tree: Mapping[TraceId, Trace]) -> int:
    return max(recounted_ends(tree).values())


async def evaluated(strategy: str, path: Path, backend: Backend) -> Store:
    """A run of two problems, opened for reading."""
    suite = load_suite("arithmetic", limit=2)

    with Store.begin(path, {"strategy": strategy, "model": backend.name}, suite.problems) as store:
        setting = setting_for(suite, backend, REASONER, params=SamplingParams(logprobs=20, max_tokens=200))
        await run(suite, parse_strategy(strategy), setting, store, concurrency=2)
    return Store.read(path)


def check_recount(store: Store) -> None:
    """Every stored end, and the ledger, match a recount."""
    for outcome in store.outcomes():
        tree = store.tree(outcome.problem.id)
        assert outcome.ledger.sequential > 0
        assert sum(len(t.segment) for t in tree.values() if t.segment.origin == "sampled") == outcome.ledger.total
        assert recounted(tree) == outcome.ledger.sequential
        assert {place: tree[place].sequential for place in tree} == recounted_ends(tree)
    store.close()
