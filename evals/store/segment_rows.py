"""Trace segments as rows of the run store, and back."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np

from widthwise.core.arrays import IntArray
from widthwise.core.backend import TokenStats, Usage
from widthwise.core.plain_json import check_readable, well_formed
from widthwise.core.plain_json import parse as parse_json
from widthwise.core.trace.recording import covers
from widthwise.core.trace.trace import Finish, Segment, SegmentOrigin, Trace, TraceId, TraceWait, name
from widthwise.evals.store.arrays import pack, unpack

_log = logging.getLogger(__name__)

_TRACE_ID = re.compile(r"\d{1,18}(\.\d{1,18})*", re.ASCII)

_TEXTS = ("at", "thread", "outline", "question", "thought", "model")
"""Facts that are texts."""

COLUMNS = (
    *("problem", "trace", "parent", "origin", "text", "token_ids", "token_ends", "logprobs", "top_ids"),
    *("top_logprobs", "finish", "reason", "seed", "prompt_cached", "prompt_computed", "params", "sequential"),
    *("metadata", "facts"),
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
        to_json({} if trace.waited is None else {"waited": spelled(trace.waited)}),
    )


def segment_of(row: sqlite3.Row) -> Segment:
    """The segment that a row holds; no token ids if none were recorded. ``ValueError`` for an invalid row."""
    cached, computed = row["prompt_cached"], row["prompt_computed"]
    reason = None if row["reason"] is None else parse_json(row["reason"])
    if row["origin"] not in get_args(SegmentOrigin) or row["finish"] not in (None, *get_args(Finish)):
        raise ValueError(f"segment {row['trace'][:40]!r} has an unknown origin or end")
    if not isinstance(reason, str | int | None) or (cached is None) != (computed is None) or row["sequential"] < 0:
        raise ValueError(f"segment {row['trace'][:40]!r} contains an impossible value")
    ids = np.empty(0, np.int64) if row["token_ids"] is None else _array(row["token_ids"], "iu", 1)
    segment = Segment(
        origin=row["origin"],
        token_ids=ids,
        text=row["text"],
        stats=_stats_of(row, len(ids)),
        finish=row["finish"],
        reason=reason,
        seed=row["seed"],
        usage=None if computed is None else Usage(cached, computed),
        params=row["params"],
        metadata=json_object(row["metadata"]),
    )
    if segment.origin != "sampled":
        _check_facts(segment.metadata)
    return segment


def ends_of(row: sqlite3.Row) -> IntArray | None:
    """Where the segment's tokens end in its text, ``int64 [t]``; None if unknown."""
    if row["token_ends"] is None:
        return None
    ends: IntArray = _array(row["token_ends"], "iu", 1)
    ids = unpack(row["token_ids"])
    if not covers(ends, len(row["text"])) or (ids is not None and len(ids) != len(ends)):
        raise ValueError(f"the tokens of segment {row['trace'][:40]!r} do not end with its text")
    return ends


def _stats_of(row: sqlite3.Row, tokens: int) -> TokenStats | None:
    if row["logprobs"] is None:
        return None
    top_ids, top_logprobs = row["top_ids"], row["top_logprobs"]
    stats = TokenStats(
        _array(row["logprobs"], "f", 1),
        None if top_ids is None else _array(top_ids, "iu", 2),
        None if top_logprobs is None else _array(top_logprobs, "f", 2),
    )
    shapes = {top.shape for top in (stats.top_ids, stats.top_logprobs) if top is not None}
    if len(stats.logprobs) != tokens or len(shapes) > 1 or any(len(stats.logprobs) != rows for rows, _ in shapes):
        raise ValueError(f"segment {row['trace'][:40]!r} has a different number of log-probabilities than tokens")
    return stats


def _array(blob: bytes, kinds: str, dimensions: int) -> Any:
    array = unpack(blob)
    if array.dtype.kind not in kinds or array.ndim != dimensions:
        raise ValueError("a list of tokens has the wrong type or shape")
    return array


def _check_facts(facts: Mapping[str, Any]) -> None:
    """Check that what this toolkit notes about inserted texts has the types that it writes."""
    after = facts.get("after", [])
    if not isinstance(after, list) or not all(isinstance(trace, str) for trace in (*after, facts.get("cut", "0"))):
        raise ValueError("an insertion names traces that do not exist")
    for trace in after:
        seen(trace)
    parse(facts.get("cut", "0"))
    if not all(isinstance(facts.get(name), str | None) for name in _TEXTS):
        raise ValueError("an insertion contains an impossible value")


def rebuilt(rows: Sequence[sqlite3.Row]) -> dict[TraceId, Trace]:
    """The traces of one problem from its rows, sharing their prefixes."""
    traces: dict[TraceId, Trace] = {}
    for trace_id, row in sorted(((parse(r["trace"]), r) for r in rows), key=lambda entry: entry[0]):
        facts = json_object(row["facts"]) if "facts" in tuple(row.keys()) else {}  # format 1 has none
        waited = None if facts.get("waited") is None else wait_of(facts["waited"])
        traces[trace_id] = Trace(trace_id, segment_of(row), traces.get(trace_id[:-1]), row["sequential"], waited)
    return traces


def spelled(wait: TraceWait) -> str:
    """``0.3@128``: the first 128 tokens of the last segment of trace 0.3."""
    return f"{name(wait.trace)}@{wait.tokens}"


def wait_of(text: Any) -> TraceWait:
    """What ``spelled`` wrote; ``ValueError`` for anything else."""
    trace, at, tokens = text.partition("@") if isinstance(text, str) else ("", "", "")
    if not at or not re.fullmatch(r"\d{1,18}", tokens, re.ASCII):
        raise ValueError(f"{str(text)[:40]!r} is not a piece of a trace that could be waited for")
    return TraceWait(parse(trace), int(tokens))


def seen(text: str) -> TraceId:
    """The trace ``0.3`` of which ``0.3`` or, while it still grew, ``0.3@128`` was seen; ``ValueError`` for others."""
    return wait_of(text).trace if "@" in text else parse(text)


def rooted(tree: Mapping[TraceId, Trace], leaf: TraceId) -> Trace:
    """The trace ``leaf`` of a tree; ``ValueError`` if it is missing or has no root."""
    trace = tree.get(leaf)
    if trace is None or trace.path[0].origin != "prompt":
        raise ValueError(f"trace {name(leaf)[:40]}, or a part of it, is missing")
    return trace


def parse(trace: str) -> TraceId:
    """``0.3.1`` as a trace id; raises ValueError for anything else."""
    if not _TRACE_ID.fullmatch(trace):
        raise ValueError(f"{trace[:40]!r} is not the id of a trace")
    return tuple(int(n) for n in trace.split("."))


def json_object(text: str) -> dict[str, Any]:
    """The JSON object that a column holds; ``ValueError`` for anything else."""
    value = parse_json(text, finite=False)
    if not isinstance(value, dict):
        raise ValueError("a column does not contain a JSON object")
    return value


def to_json(value: Any) -> str:
    """JSON of metadata, including numpy's numbers; what is not a finite number becomes null, and is logged."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:
        finite = json.loads(json.dumps(value, default=_plain), parse_constant=lambda _: None)
        text = json.dumps(finite, ensure_ascii=False)
        _log.warning("NaN or an infinity is stored as null: %.200s", text)
    check_readable(text)
    return well_formed(text)


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
