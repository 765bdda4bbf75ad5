"""Trace segments as rows of the run store, and back."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
from collections.abc import Sequence
from typing import Any

import numpy as np

from widthwise.core.backend import IntArray, TokenStats, Usage
from widthwise.core.plain_json import well_formed
from widthwise.core.trace.trace import Segment, Trace, TraceId, name
from widthwise.evals.store.arrays import pack, unpack

_log = logging.getLogger(__name__)

_TRACE_ID = re.compile(r"\d{1,18}(\.\d{1,18})*", re.ASCII)

COLUMNS = (
    *("problem", "trace", "parent", "origin", "text", "token_ids", "token_ends", "logprobs", "top_ids"),
    *("top_logprobs", "finish", "reason", "seed", "prompt_cached", "prompt_computed", "params", "sequential"),
    "metadata",
)


def segment_row(problem_id: str, trace: Trace, ends: IntArray | None = None) -> tuple[Any, ...]:
    """``trace``'s last segment as values of ``COLUMNS``; ``ends`` say where its tokens end in its text."""
    segment, stats, usage = trace.segment, trace.segment.stats, trace.segment.usage
    # A recording imported without tokens has a text but no ids: the file says so with a null.
    ids = segment.token_ids if len(segment.token_ids) or not segment.text else None
    return (
        problem_id,
        name(trace.id),
        name(trace.id[:-1]) or None,
        segment.origin,
        well_formed(segment.text),
        pack(ids),
        pack(ends),
        pack(stats.logprobs if stats else None),
        pack(stats.top_ids if stats else None),
        pack(stats.top_logprobs if stats else None),
        segment.finish,
        None if segment.reason is None else to_json(segment.reason),
        segment.seed,
        usage.prompt_cached if usage else None,
        usage.prompt_computed if usage else None,
        segment.params,
        trace.sequential,
        to_json(segment.metadata),
    )


def segment_of(row: sqlite3.Row) -> Segment:
    """The segment that a row holds; no token ids where none were recorded."""
    logprobs = unpack(row["logprobs"])
    known = row["token_ids"] is not None
    cached, computed = row["prompt_cached"], row["prompt_computed"]
    return Segment(
        origin=row["origin"],
        token_ids=unpack(row["token_ids"]) if known else np.empty(0, np.int64),
        text=row["text"],
        stats=None if logprobs is None else TokenStats(logprobs, unpack(row["top_ids"]), unpack(row["top_logprobs"])),
        finish=row["finish"],
        reason=None if row["reason"] is None else json.loads(row["reason"]),
        seed=row["seed"],
        usage=None if computed is None else Usage(cached, computed),
        params=row["params"],
        metadata=json.loads(row["metadata"]),
    )


def rebuilt(rows: Sequence[sqlite3.Row]) -> dict[TraceId, Trace]:
    """The traces of one problem from its rows, sharing their prefixes."""
    traces: dict[TraceId, Trace] = {}
    for trace_id, row in sorted((parse(r["trace"]), r) for r in rows):
        traces[trace_id] = Trace(trace_id, segment_of(row), traces.get(trace_id[:-1]), row["sequential"])
    return traces


def parse(trace: str) -> TraceId:
    """``0.3.1`` as a trace id; raises ValueError for anything else."""
    if not _TRACE_ID.fullmatch(trace):
        raise ValueError(f"{trace[:40]!r} is no id of a trace")
    return tuple(int(n) for n in trace.split("."))


def to_json(value: Any) -> str:
    """JSON of metadata, numpy's numbers among it included; what is no finite number becomes null, and is logged."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:
        finite = json.loads(json.dumps(value, default=_plain), parse_constant=lambda _: None)
        text = json.dumps(finite, ensure_ascii=False)
        _log.warning("NaN or an infinity is stored as null: %.200s", text)
    return well_formed(text)


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
